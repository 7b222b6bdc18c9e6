"""Klaviyo's limits, before sending: a visible fix or a refusal that says what was found."""

from typing import Any

import pytest

from streams.klaviyo import limits
from streams.klaviyo.limits import Refused, Sound

NOW = 1_800_000_000_000
WHO = {"email": "a@shop.io"}


def event(**payload: Any) -> Sound | Refused:
    return limits.event(WHO, {"metric": "M", "properties": {}} | payload, NOW, NOW)


def nested(depth: int) -> Any:
    return {"a": nested(depth - 1)} if depth > 1 else {}


@pytest.mark.parametrize(
    "payload",
    [
        {"properties": {str(n): n for n in range(401)}},
        {"properties": nested(11)},
        {"properties": {"a": [0] * 4001}},
        {"properties": {"a": "x" * 100_001}},
        {"properties": {"a": "é" * 60_000}},
        {"metric": "M" * 128},
        {"metric": " "},
        {"metric": None},
        {"properties": ["a"]},
    ],
    ids=range(9),
)
def test_a_broken_limit_is_a_refusal(payload: dict[str, Any]) -> None:
    assert isinstance(event(**payload), Refused)


@pytest.mark.parametrize(
    "payload",
    [
        {"properties": {str(n): n for n in range(400)}},
        {"properties": nested(10)},
        {"properties": {"a": [0] * 4000}},
        {"properties": {"a": "x" * 100_000}},
        {"metric": "M" * 127},
        {"properties": None},
    ],
    ids=range(6),
)
def test_at_the_limit_is_within_it(payload: dict[str, Any]) -> None:
    assert isinstance(event(**payload), Sound)


YEAR = 365 * 86_400_000
FIRST = 631_152_000_000
"""1990 begins."""


@pytest.mark.parametrize(
    ("time", "sound"),
    [(0, False), (FIRST, False), (FIRST + 1, True), (NOW, True), (NOW + YEAR, True), (NOW + YEAR + 1, False)],
)
def test_the_time_window(time: int, sound: bool) -> None:
    assert isinstance(limits.event(WHO, {"metric": "M"}, time, NOW), Sound) == sound


@pytest.mark.parametrize(
    ("who", "ignored"),
    [
        ({"email": "a@shop.io", "phone_number": "0123"}, ("phone_number",)),
        ({"email": "no address", "external_id": "u"}, ("email",)),
        ({"email": "a@shop.io", "phone_number": "+1555123"}, ("phone_number",)),
        ({"email": "a@shop.io", "phone_number": "+1\uff12025550101"}, ("phone_number",)),
        ({"email": f"a@{'s' * 250}.io", "external_id": "u"}, ("email",)),
        ({"external_id": "u" * 256, "anonymous_id": "a"}, ("external_id",)),
    ],
)
def test_an_identifier_that_cannot_be_one_is_left_out(who: dict[str, str], ignored: tuple[str, ...]) -> None:
    found = limits.event(who, {"metric": "M"}, NOW, NOW)
    assert isinstance(found, Sound)
    assert found.ignored == ignored


def test_without_an_identifier_nothing_is_sent() -> None:
    assert isinstance(limits.event({"phone_number": "1"}, {"metric": "M"}, NOW, NOW), Refused)
    assert isinstance(limits.profile({"anonymous_id": "a"}, {"attributes": {}}), Refused)


@pytest.mark.parametrize("value", ["9", True, [1]])
def test_a_value_that_is_no_number_is_left_out(value: Any) -> None:
    found = event(value=value, value_currency="euro")
    assert isinstance(found, Sound)
    assert found.ignored == ("value", "value_currency")
    assert "value" not in found.payload


def test_an_attribute_that_klaviyo_does_not_have_is_left_out() -> None:
    given = {"first_name": "A", "nick": "x", "location": {"city": "c", "moon": "m"}, "properties": {"k": 1}}
    found = limits.profile(WHO, {"attributes": given})
    assert isinstance(found, Sound)
    assert found.ignored == ("nick", "location.moon")
    assert found.payload["attributes"] == {
        "first_name": "A",
        "location": {"city": "c"},
        "properties": {"k": 1},
    }


def test_a_profile_above_its_cap_is_refused() -> None:
    found = limits.profile(WHO, {"attributes": {"properties": {str(n): "x" * 1000 for n in range(100)}}})
    assert isinstance(found, Refused)
    assert found.reason == "too_large"


@pytest.mark.parametrize("operation", ["append", "unappend"])
@pytest.mark.parametrize(
    ("value", "reason"),
    [("x" * 100_001, "too_large"), (["x" * 60_000] * 2, "too_large"), ([0] * 4001, "rejected")],
    ids=["string", "bytes", "elements"],
)
def test_what_is_appended_counts_too(operation: str, value: Any, reason: str) -> None:
    found = limits.profile(WHO, {"attributes": {}, "patch": {operation: {"tags": value}}})
    assert isinstance(found, Refused)
    assert found.reason == reason
