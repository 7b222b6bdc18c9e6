"""Segment's filter query language: the reference's examples, what it leaves open, and any text at all."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.config.fql import Condition
from streams.config.fql_syntax import FqlError

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
MESSAGE: dict[str, Any] = {
    "event": "Button Clicked",
    "type": "track",
    "context": {"library": {"name": "analytics.js", "version": "1.0"}},
    "properties": {
        "features": ["discounts", "dark-mode"],
        "product 1": {"price": "19.99"},
        "n": 5,
        "yes": True,
        "in-stock": 2,
        "nothing": None,
        "object": {"a": 1},
    },
}
TRUE = r"""
event = 'Button Clicked'
type = 'identify' or type = 'track'
event = 'Button Clicked' and type = 'track'
match( context.library.version, '1.*' )
type = 'track' and ( event = 'Click' or match( event, 'Button *' ) )
'dark-mode' in properties.features
properties.product\ 1.price = '19.99'
match('abcd', 'a*d')
match('', '*')
match('abcd', 'a??d')
match('abcd', '*d')
match('ab*d', 'ab\*d')
match('abCd', 'ab[cC]d')
match('abcd', 'ab[a-z]d')
match('a^b', 'a[^]b')
match('a', '**a**')
length('ア') = 3
length(properties.features) = 2
length(userId) = 0
length(properties.object) = 0
typeof(event) = 'string' and typeof(properties.n) = "number" and typeof(properties.yes) = 'bool'
typeof(properties.features) = 'list' and typeof(nope) = 'null' and typeof(properties.object) = 'object'
properties.yes
properties.n >= 5 and properties.n <= 5 and properties.n > 4 and properties.n < 5.5
event = "Button \u0043licked"
properties.in-stock = 2
true or false and false
not false and true
not (false and true)
! ! true
lowercase(event) = 'button clicked' and uppercase('é') = 'É'
snakecase('a b') = 'a_b' and kebabcase('a b') = 'a-b' and titlecase('a b') = 'A B'
lowercase(nope) = null
userId = null and properties.nothing = null
properties.features = ['discounts', 'dark-mode']
properties.features.1 = 'dark-mode'
[1, [2]] = [1, [2]] and 1 in [1, 2] and null in [null]
number('5') = 5 and string(5) = '5' and bool('x') and !bool('')
-1 < 0 and 1e3 = 1000
android = null and orange = null and notes = null and inner = null and nullable = null
contains(event, 'Click')
1 = 1.0
properties.n != '5'
'a\'b' = "a'b" and 'a\\b' != 'ab'
"""
FALSE = r"""
event = 'Screen Tapped'
context.path.path = '/login'
match( context.library.version, '2.*' )
!contains( context.library.name, 'js' )
'blink' in properties.features
match('abc', 'ab')
match('abcd', 'ab[A-Z]d')
match('abxd', 'ab\*d')
!( type in ['track', 'identify'] )
properties.yes = 1
properties.n
event
1 = true
not false and false
'5' > 4
null < 1
properties.features.9 = 'x'
contains(nope, 'x')
match(nope, '*')
'a' in 'abc'
number('x') = 1
"""
EVERY = [Condition(text) for text in (TRUE.strip() + FALSE.rstrip()).splitlines()]


@pytest.mark.parametrize("text", TRUE.strip().splitlines())
def test_true_of_the_message(text: str) -> None:
    assert Condition(text)(MESSAGE) is True


@pytest.mark.parametrize("text", FALSE.strip().splitlines())
def test_false_of_the_message(text: str) -> None:
    assert Condition(text)(MESSAGE) is False


@pytest.mark.parametrize(
    ("text", "line", "column", "write"),
    [
        ("", 1, 1, "type = 'track'"),
        ("type = ", 1, 8, "a value: 'text', 1, true, null or a field"),
        ("type == 'a'", 1, 7, "one ="),
        ("event = 'x", 1, 9, "a closing quote of the same kind"),
        ('userId = oops"', 1, 14, "a closing quote of the same kind"),
        ("type = 'a' && x", 1, 12, "and"),
        ("type = 'a' AND x", 1, 12, "and"),
        ("contain(event, 'x')", 1, 1, "contains"),
        ("contains(event)", 1, 1, "contains(userId, 'text')"),
        ("(type = 'a'", 1, 12, "a closing )"),
        ("$.event = 1", 1, 1, "a dotted path without $, as in properties.total"),
        ("type = 'a'\n  b", 2, 3, "an operator (= != < <= > >= in), and, or, or the end"),
        ("match(event, '[')", 1, 1, "'Button *'"),
        ("!" * 101 + "true", 1, 1, "fewer negations and functions"),
    ],
)
def test_an_error_says_where_and_what_to_write(text: str, line: int, column: int, write: str) -> None:
    with pytest.raises(FqlError) as error:
        Condition(text)
    assert (error.value.line, error.value.column, error.value.write) == (line, column, write)
    assert error.value.caret.endswith("^")


_WORDS = """( ) [ ] , ! != = < <= > >= in and or not true null 1 -2.5 'a' "b" event a.b
match( length( contains( \\ $"""
TOKENS = st.sampled_from(_WORDS.split())


@given(st.text() | st.lists(TOKENS, max_size=30).map(" ".join), JSON)
def test_no_text_and_no_message_raise(text: str, message: Any) -> None:
    try:
        condition = Condition(text)
    except FqlError:
        return
    assert condition(message) in (True, False)
    condition.might("track", "x")


@given(st.dictionaries(st.sampled_from(["event", "type", "properties", "context"]), JSON))
def test_conditions_answer_on_any_json(message: dict[str, Any]) -> None:
    for condition in EVERY:
        assert condition(message) in (True, False)


def test_deep_values_are_only_not_equal() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert Condition("a = b")({"a": deep, "b": [deep]}) is False


@pytest.mark.parametrize(
    ("text", "type_", "name", "might"),
    [
        ("type = 'track' and event = 'A'", "track", "A", True),
        ("type = 'track' and event = 'A'", "track", "B", False),
        ("type = 'track' and event = 'A'", "page", "A", False),
        ("event = 'A'", "page", "A", True),
        ("type = 'page' and name = 'Home'", "page", "Other", False),
        ("type = 'track' and properties.x > 1", "track", None, True),
        ("!(type = 'track')", "track", None, False),
        ("type = 'identify' or match(event, 'Order *')", "track", "Order Completed", True),
        ("type = 'identify' or match(event, 'Order *')", "track", "Viewed", False),
        ("properties.x", "track", None, True),
        ("event", "track", "A", False),
    ],
)
def test_might_excludes_only_what_can_not_be(text: str, type_: str, name: str | None, might: bool) -> None:
    assert Condition(text).might(type_, name) is might


@given(JSON, st.sampled_from(["track", "identify", "page"]), st.none() | st.text())
def test_might_is_true_of_all_that_match(properties: Any, type_: str, name: str | None) -> None:
    message = {"type": type_, "properties": properties}
    message["event" if type_ == "track" else "name"] = name
    for condition in EVERY:
        assert condition.might(type_, name) or not condition(message)


def test_a_glob_is_linear() -> None:
    text = "match(event, '" + "*a" * 30 + "*b')"
    assert Condition(text)({"event": "a" * 5_000}) is False
