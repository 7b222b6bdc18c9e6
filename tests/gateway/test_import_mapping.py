"""What a row says as a Segment message."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from streams.gateway.rows.mapping import Shape, Unmappable, message_of, target

IDENTIFY = Shape("web", "user_id", "email")


def mapped(values: dict[str, Any], *maps: str, **more: Any) -> dict[str, Any]:
    shape = Shape(
        **{"name": "web", "user_id": "user_id", "email": "email"} | more, maps=dict(map(target, maps))
    )
    message = message_of(values, shape).message
    assert message.pop("messageId").startswith("import-")
    return message


def message_id(values: dict[str, Any], shape: Shape = IDENTIFY) -> str:
    return str(message_of(values, shape).message["messageId"])


def test_columns_become_traits() -> None:
    assert mapped({"user_id": "u1", "email": "a@x.io", "plan": "pro", "gone": None}) == {
        "type": "identify",
        "userId": "u1",
        "traits": {"email": "a@x.io", "plan": "pro", "gone": None},
    }


def test_maps_rename_nest_convert_and_leave_out() -> None:
    row = {"user_id": 7, "zip": "94103", "age": "42", "vip": "yes", "tags": '["a"]', "notes": "x", "n": 5}
    made = mapped(
        row,
        "zip=address.postalCode",
        "age=age:number",
        "vip=vip:boolean",
        "tags=tags:json",
        "notes=",
        "n=n:text",
    )
    assert made["userId"] == 7
    assert made["traits"] == {
        "address": {"postalCode": "94103"}, "age": 42, "vip": True, "tags": ["a"], "n": "5",
    }  # fmt: skip


def test_an_event_has_its_columns_as_properties_and_the_address_in_its_context() -> None:
    row = {"user_id": "u1", "email": "a@x.io", "total": 5, "at": "2026-01-01T00:00:00Z"}
    assert mapped(row, event="Order Completed", time="at") == {
        "type": "track",
        "event": "Order Completed",
        "userId": "u1",
        "properties": {"total": 5},
        "context": {"traits": {"email": "a@x.io"}},
        "timestamp": "2026-01-01T00:00:00Z",
    }


def test_values_of_databases_become_json() -> None:
    row = {
        "user_id": UUID(int=1), "price": Decimal("1.50"), "count": Decimal(3), "day": date(2026, 1, 2),
        "at": datetime(2026, 1, 1, tzinfo=UTC),
    }  # fmt: skip
    assert mapped(row, time="at") == {
        "type": "identify",
        "userId": "00000000-0000-0000-0000-000000000001",
        "traits": {"price": 1.5, "count": 3, "day": "2026-01-02"},
        "timestamp": "2026-01-01T00:00:00+00:00",
    }


@pytest.mark.parametrize(
    ("row", "maps", "says"),
    [
        ({"age": "old"}, ("age=age:number",), "age has to be number, this is 'old'"),
        ({"age": "NaN"}, ("age=age:number",), "age has to be number"),
        ({"vip": "maybe"}, ("vip=vip:boolean",), "vip has to be boolean"),
        ({"a": 1, "b": 2}, ("a=x", "b=x.y"), "x is a value"),
        ({"photo": b"\0"}, (), "no JSON for bytes"),
        ({"big": 1 << 70}, (), "JSON"),
    ],
)
def test_what_cannot_be_mapped_names_the_column(
    row: dict[str, Any], maps: tuple[str, ...], says: str
) -> None:
    with pytest.raises(Unmappable, match=says):
        mapped({"user_id": "u1"} | row, *maps)


@pytest.mark.parametrize("value", [None, "", "soon"])
def test_a_time_that_cannot_be_read_is_never_now(value: object) -> None:
    with pytest.raises(Unmappable, match="at has to be a time"):
        mapped({"user_id": "u1", "at": value}, time="at")


def test_the_id_is_the_contents_whatever_the_order_of_columns() -> None:
    row = {"user_id": "u1", "email": "a@x.io", "plan": "pro"}
    assert message_id(row) == message_id(dict(reversed(row.items())))
    others = [
        message_id(row | {"plan": "free"}),
        message_id(row | {"user_id": "u2"}),
        message_id(row, Shape("app", "user_id", "email")),
        message_id(row, Shape("web", "user_id", "email", event="Seen")),
        message_id(row, Shape("web", "user_id", "email", run="2")),
    ]
    assert len({message_id(row), *others}) == 6


def test_what_an_identify_says_again_later_is_another_message_and_an_event_never_is() -> None:
    row = {"user_id": "u1", "email": "a@x.io", "plan": "pro"}
    event = Shape("web", "user_id", "email", event="Seen")
    first, later = (message_of(row, IDENTIFY, number) for number in (1, 7))
    assert first.message["messageId"] != later.message["messageId"]
    assert (first.key, first.digest) == (later.key, later.digest)
    assert message_of(row, event, 1) == message_of(row, event, 7)


@pytest.mark.parametrize("text", ["plan", "=plan", "plan=a..b", "plan=plan:date"])
def test_a_map_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"'.*'"):
        target(text)


@pytest.mark.parametrize(
    ("value", "user_id"),
    [
        (12.0, "12"),
        (12.5, "12.5"),
        (Decimal(12), "12"),
        (Decimal("12.00"), "12"),
        (12, 12),
        (0, 0),
        ("12.0", "12.0"),
        (float("nan"), None),
        (Decimal("NaN"), None),
    ],
)
def test_a_user_id_that_became_a_float_on_its_way_is_the_same_person(value: Any, user_id: Any) -> None:
    assert message_of({"user_id": value, "email": "a@x.io"}, IDENTIFY).message.get("userId") == user_id


@pytest.mark.parametrize(("value", "says"), [(b"ab", "bytes"), (1e20, "exactly"), (float("inf"), "exactly")])
def test_what_names_nobody_for_certain_is_no_user_id(value: Any, says: str) -> None:
    with pytest.raises(Unmappable, match=says):
        message_of({"user_id": value}, IDENTIFY)
