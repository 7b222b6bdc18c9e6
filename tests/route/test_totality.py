"""Routing on anything: it never raises, and loses nothing without saying so."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.route.ecommerce import _KNOWN
from streams.route.rules import Routed
from tests.route.sample import PETER, payloads, route, router

ANY: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("ab.$", max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


def some_of(names: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(names.split()), ANY)


PRODUCT = some_of("product_id productId id ProductID sku name price Price quantity category url x")
ORDER = st.fixed_dictionaries({"products": st.lists(PRODUCT | ANY, max_size=5), "order_id": ANY})
NAMES = (
    "order_id OrderId products Items total revenue value currency coupon price id eventId $value $event_id"
)
PROPERTIES = some_of(NAMES) | ORDER
TRAITS = some_of(
    "email phone firstName first_name $first_name $city $id name company address zip id timezone plan"
)
MESSAGES = st.fixed_dictionaries(
    {"type": st.sampled_from(["track", "identify", "page", "screen", "group", "alias"])},
    optional={
        "event": st.sampled_from(sorted(_KNOWN)) | ANY,
        "name": ANY,
        "properties": PROPERTIES | ANY,
        "traits": TRAITS | ANY,
        "context": some_of("ip traits timezone locale klaviyo integration") | ANY,
        "integrations": ANY,
        "timestamp": ANY,
    },
)
RULES = router(
    """
  - {when: "true", do: profile, patch: {append: {a: $.event}, set_once: {b: $..a}}}
  - when: "true"
    do: event
    key: $.properties.a
    metric: [$.event, $.name]
    flatten: true
    rename: {a: b}
    fields:
      n: {path: $.properties.total, format: number}
      d: {path: "$.properties.*", format: date}
      p: {path: $.traits.phone, format: phone, country: $.traits.zip}
      value: $.properties.value
      value_currency: $.properties.currency
  - {when: type = "track", do: event}
  - {when: "true", do: profile, template: segment.classic, key: $.type}
  - {when: "true", do: event, template: segment.classic, key: $.type}
  - {when: "true", do: list_add}
  - {when: "true", do: subscribe, list: $.properties.a, consented_at: $.timestamp}
"""
)


@settings(max_examples=200)
@given(MESSAGES)
def test_no_message_raises_and_every_rule_answers(message: dict[str, Any]) -> None:
    before = orjson.dumps(message)
    routed = route(RULES, message)
    assert orjson.dumps(message) == before, "the message is not changed"
    assert routed.filtered or routed.operations
    assert not routed.filtered or not routed.operations
    for payload in payloads(routed):
        assert isinstance(payload, dict)
    ids = [operation["op_id"] for _, _, operation in routed.operations]
    assert len(ids) == len(set(ids))


PROFILES = {
    template: router(f"  - {{when: type = 'identify', do: profile, template: {template}}}")
    for template in ("segment.traits", "segment.classic")
}
EVENTS = {
    template: router(f"  - {{when: type = 'track', do: event, template: {template}}}")
    for template in ("ecommerce.v2", "track", "segment.classic")
}
_IDENTIFIERS = ("email", "phone", "id")


def said(value: Any) -> set[str]:
    """What a value says: its texts and numbers, a number written as text as that number."""
    if isinstance(value, dict):
        return {each for inner in value.values() for each in said(inner)}
    if isinstance(value, list):
        return {each for inner in value for each in said(inner)}
    if value is None or value == "":
        return set()
    try:
        return {str(float(str(value)) + 0.0)}  # -0.0 is 0
    except ValueError:
        return {str(value).strip().upper()}  # a currency becomes its code


def lost(given: dict[str, Any], where: str, routed: Routed) -> list[str]:
    """Names of fields with anything that is neither sent nor said to be unmapped."""
    kept = said(payloads(routed))
    named = {path.removeprefix(f"{where}.").partition(".")[0].partition("[")[0] for path in routed.unmapped}
    return [name for name, value in given.items() if name not in named and not said(value) <= kept]


@pytest.mark.parametrize("template", EVENTS)
@settings(max_examples=200)
@given(event=st.sampled_from(sorted(_KNOWN)) | st.just("Other"), properties=PROPERTIES)
def test_no_property_of_an_event_is_lost_silently(
    template: str, event: str, properties: dict[str, Any]
) -> None:
    properties = orjson.loads(orjson.dumps(properties))
    routed = route(EVENTS[template], {"type": "track", "event": event, "properties": properties})
    assert lost(properties, "properties", routed) == []


@pytest.mark.parametrize("template", PROFILES)
@settings(max_examples=200)
@given(traits=TRAITS)
def test_no_trait_is_lost_silently(template: str, traits: dict[str, Any]) -> None:
    """Identifiers are identity's: the person's own are with the person, others are named."""
    traits = orjson.loads(orjson.dumps(traits))
    routed = route(PROFILES[template], {"type": "identify", "traits": traits})
    own = said([PETER["email"], PETER["phone"], PETER["user_id"]])
    missing = lost(traits, "traits", routed)
    assert [name for name in missing if name not in _IDENTIFIERS or not said(traits[name]) <= own] == []


def test_a_message_nested_too_deep_to_write_is_refused_not_raised() -> None:
    deep: Any = 1
    for _ in range(400):
        deep = [deep]
    routed = route(EVENTS["ecommerce.v2"], {"type": "track", "event": "A", "properties": {"deep": deep}})
    assert routed.operations == []
    assert routed.refusals[0][2].startswith("rule 1: can't be written as JSON")
