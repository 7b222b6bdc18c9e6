"""Conditions that are FQL and can't be meant."""

import pytest

from streams.config.fql import Condition
from streams.config.fql_sense import make_sense
from streams.config.fql_syntax import FqlError


@pytest.mark.parametrize(
    ("text", "column", "message", "write"),
    [
        # a field that no message has reads as null: this would hold for everybody without the trait
        ("traits.vip = True", 14, "a message has no field 'True'", "true"),
        ("traits.email != None", 17, "a message has no field 'None'", "null"),
        (
            "event = Ordered",
            9,
            "a message has no field 'Ordered'",
            "one in properties, traits or context; 'Ordered'",
        ),
        ("typ = 'track'", 1, "a message has no field 'typ'", "type; 'typ' if"),
        ("email = 'a@b.com'", 1, "a message has no field 'email'", "one in properties"),
        ("type = 'Track'", 1, "no message can be like this", "a type of track"),
        ("type = 'track' and type = 'page'", 1, "no message can be like this", "a type of track"),
        ("event = 'a' or 'b'", 16, "'b' alone is neither true nor false", "event = 'b'"),
        ("'b'", 1, "'b' alone is neither true nor false", "event = 'b'"),
        ("traits.since > '2024-01-01'", 16, "> is for numbers", "a number"),
        ("'5' <= properties.n", 1, "<= is for numbers", "a number"),
        ("event in 'a'", 10, "in needs a list, not 'a'", "in ['a']"),
        ("type = 'track'\n and event = Ordered", 14, "a message has no field 'Ordered'", "one in"),
    ],
)
def test_what_can_t_be_meant_has_its_place(text: str, column: int, message: str, write: str) -> None:
    with pytest.raises(FqlError) as error:
        make_sense(text)
    assert error.value.column == column
    assert error.value.message.startswith(message)
    assert error.value.write.startswith(write)


@pytest.mark.parametrize(
    "text",
    [
        "traits.vip = true",
        "not bool(traits.x) and context.page.url = 'a'",
        "'a' in properties.tags",
        "number(traits.age) >= 18",
        "properties.a = properties.b",
        r"\email = 'a@b.com'",
        "type = 'identify' and event = 'x'",
        "true",
        "false",
    ],
)
def test_what_can_be_meant_is_taken(text: str) -> None:
    make_sense(text)


def test_a_whole_number_is_compared_as_written() -> None:
    assert Condition("userId = 12345678901234567891")({"userId": 12345678901234567891})
    assert not Condition("userId = 12345678901234567891")({"userId": 12345678901234567890})
