"""JSONPaths compiled: look-ups for one value, lists for several, errors with a column."""

from typing import Any

import pytest
from hypothesis import given

from streams.config.paths import MISSING, PathError, compile_path, first_of
from tests.config.test_fql import JSON

MESSAGE = {"a": {"b": [1, {"c": None}], "x y": 2}, "items": [{"n": 1}, {"n": 2}]}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$.a.b[0]", 1),
        ("$.a.b[-1].c", None),
        ("$['a']['x y']", 2),
        ("$.a.b[2]", MISSING),
        ("$.a.b.c", MISSING),
        ("$.nope.c", MISSING),
        ("$.items[*].n", [1, 2]),
        ("$.items[?@.n > 1].n", [2]),
        ("$..c", [None]),
        ("$.items[?@.n > 5].n", MISSING),
    ],
)
def test_a_path_finds(path: str, value: Any) -> None:
    assert compile_path(path)(MESSAGE) == value


def test_the_first_path_that_finds_something_counts() -> None:
    assert first_of(("$.nope", "$.a.b[1].c", "$.a.b[0]"))(MESSAGE) == 1
    assert first_of(("$.nope", "$.a.b[1].c"))(MESSAGE) is None
    assert first_of(("$.nope", "$.no"))(MESSAGE) is MISSING


@pytest.mark.parametrize(("text", "column"), [("a.b", 1), ("$.a.", 5), ("$[?foo(@)]", 4), ("", 1)])
def test_a_wrong_path_says_where(text: str, column: int) -> None:
    with pytest.raises(PathError) as error:
        compile_path(text)
    assert error.value.column == column


@given(JSON)
def test_no_message_raises(message: Any) -> None:
    for path in ("$.a.b[0]", "$..c", "$.items[?@.n > 1].n", "$[*][*]", "$[0]", "$[?length(@) > 1]"):
        compile_path(path)(message)
