"""``once:``: which mark an operation carries, so that deliver makes one of it."""

import orjson
import pytest

from streams.config import ConfigError
from streams.segment.envelope import Profile
from tests.route.sample import ORIGIN, PETER, envelope, payloads, route, router

ORDER = {
    "type": "track",
    "event": "Order Completed",
    "properties": {
        "order_id": 17,
        "products": [{"product_id": "a"}, {"product_id": "a"}, {"product_id": "b"}],
    },
}


def marks(once: str, message: dict[str, object] = ORDER, do: str = "event") -> list[str]:
    rules = router(f"  - {{when: type != 'x', do: {do}, once: {once}}}")
    return [payload["once"] for payload in payloads(route(rules, message))]


def test_each_operation_of_a_message_has_a_mark_of_its_own() -> None:
    """Two equal products of one order are two things."""
    found = marks("$.properties.order_id")
    assert len(set(found)) == len(found) == 4
    assert all(mark.startswith("by:17\x1fevent\x1f") for mark in found)


def test_the_same_order_from_another_sender_has_the_same_marks() -> None:
    assert marks("$.properties.order_id") == marks("$.properties.order_id", ORDER | {"messageId": "other"})
    other = ORDER | {"properties": {"order_id": 18}}
    assert not set(marks("$.properties.order_id")) & set(marks("$.properties.order_id", other))


def test_a_whole_number_is_the_same_however_it_is_written() -> None:
    """A browser writes 17, a warehouse 17.0, a server "17"."""
    products = [{"product_id": 5}, {"product_id": 5.0}]
    several = [
        marks(
            "$.properties.order_id",
            ORDER | {"properties": {"order_id": written, "products": products}},
        )
        for written in (17, 17.0, "17")
    ]
    assert several[0] == several[1] == several[2]


def test_ever_is_no_value_of_a_message() -> None:
    called_ever = ORDER | {"properties": {"order_id": "ever"}}
    assert not set(marks("ever", called_ever)) & set(marks("$.properties.order_id", called_ever))


def test_ever_is_for_each_person() -> None:
    rules = router("  - {when: type = 'track', do: event, once: ever, product_metric: null}")
    other = Profile(id="p2", email=None, phone=None, user_id="u2", anonymous_ids=[])
    first, second = (
        orjson.loads(rules.route(ORDER, envelope(ORDER), who, ORIGIN, False).operations[0][2]["payload"])
        for who in (PETER, other)
    )
    assert first["once"] != second["once"]


@pytest.mark.parametrize("do", ["profile", "subscribe", "erase"])
def test_any_rule_may_be_once(do: str) -> None:
    assert marks("ever", do=do) == [marks("ever", do=do)[0]]


def test_the_first_path_that_finds_something_counts() -> None:
    assert marks("[$.properties.id, $.properties.order_id]") == marks("$.properties.order_id")


def test_without_a_value_there_is_a_refusal_instead_of_a_second_one() -> None:
    routed = route(router("  - {when: type = 'track', do: event, once: $.properties.nothing}"), ORDER)
    assert not routed.operations
    assert routed.refusals[0][2] == "rule 1: no once: nothing found where the rule looks for it"


@pytest.mark.parametrize("once", ["never", "5", "[]", "{path: $.a}", "[ever, $.a]"])
def test_anything_but_ever_and_paths_is_told_at_its_line(once: str) -> None:
    with pytest.raises(ConfigError) as raised:
        router(f"  - {{when: type = 'track', do: event, once: {once}}}")
    assert raised.value.problems[0].line
