"""Payloads that fit: what is too much is slimmed, split or refused, and always told."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.config.payload import MOST_BYTES, Payload
from streams.engine.layout import RECORD_BYTES
from streams.klaviyo import limits
from streams.ledger.reasons import Reason
from streams.route.fitting import Fitted, Refusal, compile_payload
from streams.simulators.klaviyo.schema import Free
from tests.route.sample import payloads, route, router

TRACK = "\n  - {when: type = 'track', do: event}"


def fit(properties: dict[str, Any], section: dict[str, Any] | None = None, **more: Any) -> Any:
    made = {"metric": "Viewed", "properties": properties} | more
    return compile_payload(Payload.model_validate(section or {})).event(made)


def only(fitted: Any) -> Fitted:
    assert isinstance(fitted, list), fitted
    assert len(fitted) == 1
    found = fitted[0]
    assert isinstance(found, Fitted)
    return found


def nested(depth: int) -> Any:
    return {"a": nested(depth - 1)} if depth > 1 else {}


def test_what_fits_is_left_as_it_is() -> None:
    given_ = {"Items": [{"Name": "x" * 20_000}] * 4, "a": "x" * 50_000}
    found = only(fit(given_))
    assert (found.payload["properties"], found.done) == (given_, [])
    assert "slimmed" not in found.payload


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ({"Items": list(range(4001))}, "properties.Items: 4001 to 500"),
        ({"a": "é" * 60_000}, "properties.a: 60000 to 10000 characters"),
        ({"o": {"Items": [0] * 4001}}, "properties.o.Items: 4001 to 500"),
        ({"Items": [{"d": "x" * 100_001}, {}]}, "properties.Items[*].d: 100001 to 10000 characters"),
    ],
)
def test_by_default_arrays_and_texts_that_are_too_long_are_cut_and_nothing_else(
    properties: dict[str, Any], told: str
) -> None:
    found = only(fit(properties | {"tags": [1] * 600, "text": "x" * 20_000}))
    assert found.done == [told]
    assert found.payload["properties"]["_slimmed"] == found.payload["slimmed"] == [told]
    assert len(found.payload["properties"]["tags"]) == 600
    assert len(found.payload["properties"]["text"]) == 20_000


def test_the_heaviest_array_goes_first_and_lighter_ones_stay_if_that_is_enough() -> None:
    heavy = [{"review": "x" * 2000}] * 1500
    light = [{"sku": "x"}] * 600
    found = only(fit({"reviews": heavy, "Items": light}))
    assert found.done == ["properties.reviews: 1500 to 500"]
    assert len(found.payload["properties"]["Items"]) == 600


def test_steps_go_in_the_order_of_the_file_as_far_as_needed() -> None:
    section = {
        "max_bytes": 10_000,
        "slim": [
            {"drop": "$.properties.reviews"},
            {"truncate": "$.properties.Items[*].description", "to": 20},
            {"items": ["$.properties.Items"], "most": 3},
        ],
    }
    reviews = ["x" * 9000]
    assert only(fit({"reviews": reviews, "n": 1}, section)).done == []
    items = [{"sku": str(n), "description": "x" * 1000} for n in range(9)]
    found = only(fit({"reviews": reviews, "Items": items[:5]}, section))
    assert found.done == ["properties.reviews: dropped"]
    found = only(fit({"reviews": reviews, "Items": items * 2}, section))
    assert found.done[0] == "properties.reviews: dropped"
    assert found.done[1].startswith("properties.Items[*].description: ")
    assert "times, 1000 to 20 characters" in found.done[1]
    assert [item["sku"] for item in found.payload["properties"]["Items"]] == [str(n) for n in range(9)] * 2


def test_always_is_done_also_where_the_payload_fits() -> None:
    found = only(fit({"debug": {"a": 1}, "b": 2}, {"slim": [{"drop": "$.properties.debug", "always": True}]}))
    assert found.payload["properties"] == {"b": 2, "_slimmed": ["properties.debug: dropped"]}


@pytest.mark.parametrize(
    ("properties", "reason", "said"),
    [
        ({str(n): n for n in range(401)}, Reason.REJECTED, "at most 400 properties, found 401"),
        ({"deep": nested(10)}, Reason.REJECTED, "nested 10 deep, properties.deep.a.a"),
        ({str(n): "x" * 10_000 for n in range(300)}, Reason.TOO_LARGE, "bytes, found 3"),
    ],
)
def test_what_no_step_cures_is_refused_with_the_field_and_its_size(
    properties: dict[str, Any], reason: Reason, said: str
) -> None:
    found = fit(properties)
    assert isinstance(found, Refusal)
    assert found.reason is reason
    assert said in found.detail


def test_dead_letter_changes_nothing() -> None:
    found = fit({"Items": [0] * 4001}, {"over": "dead_letter"})
    assert found == Refusal(Reason.REJECTED, "an array may have 4000 elements, properties.Items has 4001")


def test_a_named_property_is_dropped_where_there_are_too_many() -> None:
    slim = [{"drop": ["$.properties.n0", "$.properties.n1"]}]
    found = only(fit({f"n{n}": n for n in range(402)}, {"slim": slim}))
    assert found.payload["slimmed"] == ["properties.n0: dropped", "properties.n1: dropped"]
    assert "_slimmed" not in found.payload["properties"]  # there is no room for it


def test_split_gives_every_element_once_and_the_value_only_with_the_first() -> None:
    items = [{"n": n, "text": "x" * 1000} for n in range(4500)]
    parts = fit({"Items": items, "a": 1}, {"over": "split"}, value=9.5, value_currency="EUR")
    assert len(parts) == 3
    assert [item for part in parts for item in part.payload["properties"]["Items"]] == items
    assert [part.payload.get("value") for part in parts] == [9.5, None, None]
    assert [part.payload.get("value_currency") for part in parts] == ["EUR", None, None]
    assert {part.payload["properties"]["a"] for part in parts} == {1}
    assert parts[1].payload["slimmed"] == ["properties.Items: part 2 of 3"]


def test_the_parts_of_an_event_have_ids_of_their_own_that_stay_the_same() -> None:
    rules = router(TRACK, "payload: {over: split}\n" + SAMPLE)
    message = {"type": "track", "event": "Cart", "properties": {"Items": list(range(9000)), "value": 3}}
    ids = [operation["op_id"] for _, _, operation in route(rules, message).operations]
    assert len(set(ids)) == 3
    assert ids == [operation["op_id"] for _, _, operation in route(rules, message).operations]
    whole = route(router(TRACK), message | {"properties": {"value": 3}})
    assert ids[0] == whole.operations[0][2]["op_id"]


SAMPLE = "accounts: {acme: {klaviyo: {api_key: k1}}}\nsources: {web: {accounts: [acme]}}\n"


def test_a_rule_has_its_own_section_and_a_refusal_names_the_rule() -> None:
    rules = router(
        "\n  - {name: strict, when: event = 'A', do: event, payload: {over: dead_letter}}"
        "\n  - {name: other, when: event = 'B', do: event}"
    )
    big = {"Items": [0] * 4001}
    refused = route(rules, {"type": "track", "event": "A", "properties": big})
    assert [(reason, detail[:7]) for _, reason, detail in refused.refusals] == [("rejected", "strict:")]
    slimmed = route(rules, {"type": "track", "event": "B", "properties": big})
    assert len(payloads(slimmed)[0]["properties"]["Items"]) == 500
    assert len(big["Items"]) == 4001


def test_a_profile_is_slimmed_too_and_its_properties_get_no_note() -> None:
    rules = router("\n  - {when: type = 'identify', do: profile}")
    routed = route(rules, {"type": "identify", "traits": {"bio": "x" * 120_000, "plan": "pro"}})
    (payload,) = payloads(routed)
    assert payload["slimmed"] == ["properties.bio: 120000 to 10000 characters"]
    assert set(payload["attributes"]["properties"]) == {"bio", "plan"}


def test_what_was_done_is_told_as_left_out_before_sending() -> None:
    made = {"metric": "M", "properties": {}, "slimmed": ["properties.a: dropped"]}
    found = limits.event({"email": "a@shop.io"}, made, 1_800_000_000_000, 1_800_000_000_000)
    assert isinstance(found, limits.Sound)
    assert found.ignored == ("properties.a: dropped",)


def test_the_largest_payload_fits_a_record_of_the_line() -> None:
    assert MOST_BYTES + 100_000 < RECORD_BYTES


def _wrapped(item: Any, depth: int) -> Any:
    for level in range(depth):
        item = [item] if level % 2 else {"w": item}
    return item


LEAF = (
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.text("aé\U0001f600", max_size=3)
    | st.sampled_from(["x" * 100_001, "é" * 60_000, "x" * 30_000, "\U0001f600" * 40_000])
    | st.sampled_from([[0] * 3999, ["ab"] * 4001, [{"a": "x" * 2000}] * 1000, [[]] * 4001, [{"d": [{}]}] * 9])
)
"""Big ones stand in no bigger one: what is built of them stays below some megabytes."""
BIG = st.recursive(
    LEAF,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("ab.$[", max_size=2), inner, max_size=3)
        | st.builds(_wrapped, inner, st.integers(1, 11))
    ),
    max_leaves=3,
)
SECTIONS = st.sampled_from(
    [
        {},
        {"over": "split"},
        {"over": "dead_letter"},
        {"max_bytes": 5000, "over": "split"},
        {"max_bytes": 5000, "slim": [{"drop": "$..a"}, {"items": "$.properties.*", "most": 1}]},
        {"slim": [{"drop": "$.properties", "always": True}, {"truncate": "$..*", "to": 1, "always": True}]},
        {"slim": [{"drop": "$..*"}]},
    ]
)


@settings(max_examples=150)
@given(st.dictionaries(st.text("abc", max_size=2), BIG, max_size=4), SECTIONS, st.integers(0, 1))
def test_whatever_comes_fits_or_is_refused_with_a_reason(
    properties: dict[str, Any], section: dict[str, Any], many: int
) -> None:
    """The judge is the simulator's own check of what Klaviyo takes."""
    if many:
        properties = {str(n): n for n in range(399)} | properties
    data = orjson.dumps(properties)
    if len(data) > 8_000_000:
        return
    before = orjson.dumps(properties)
    found = fit(properties, section, value=1)
    assert orjson.dumps(properties) == before
    if isinstance(found, Refusal):
        assert found.detail
        return
    for part in found:
        wrong: list[Any] = []
        Free(most=400).check(part.payload["properties"], "/properties", wrong)
        assert not wrong
        assert len(orjson.dumps(part.payload)) < section.get("max_bytes", MOST_BYTES) + 10_000
        if not part.done:
            assert part.payload["properties"] == orjson.loads(data)
    assert [part.payload.get("value") for part in found] == [1] + [None] * (len(found) - 1)
