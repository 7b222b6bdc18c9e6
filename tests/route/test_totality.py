"""Routing on anything: it never raises, and loses nothing without saying so."""

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.route.ecommerce import _KNOWN
from tests.route.sample import payloads, route, router

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
PROPERTIES = some_of("order_id OrderId products Items total value currency coupon price a") | ORDER
TRAITS = some_of("email phone firstName first_name name company address zip id timezone plan")
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


ECOMMERCE = router('- {when: type = "track", do: event, product_metric: null}')
PROFILE = router('- {when: type = "identify", do: profile}')


def leaves(value: Any) -> set[str]:
    """What a value says, as text; numbers as floats."""
    if isinstance(value, dict):
        return {leaf for inner in value.values() for leaf in leaves(inner)}
    if isinstance(value, list):
        return {leaf for inner in value for leaf in leaves(inner)}
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {str(float(value))}
    return {str(value)} if value not in (None, "") else set()


@given(st.sampled_from(sorted(_KNOWN)) | st.just("Other"), PROPERTIES)
def test_no_property_of_an_event_is_lost_silently(event: str, properties: dict[str, Any]) -> None:
    properties = orjson.loads(orjson.dumps(properties))
    routed = route(ECOMMERCE, {"type": "track", "event": event, "properties": properties})
    lost = leaves(properties) - leaves(payloads(routed))
    texts = {leaf for leaf in leaves(properties) if leaf.strip().upper() in str(payloads(routed))}
    if lost - texts and not routed.unmapped:
        numbers = {str(float(leaf)) for leaf in lost - texts if _is_number(leaf)}
        assert numbers <= leaves(payloads(routed)), "texts of numbers became numbers"
        assert all(_is_number(leaf) for leaf in lost - texts)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@given(TRAITS)
def test_no_trait_is_lost_silently(traits: dict[str, Any]) -> None:
    traits = orjson.loads(orjson.dumps(traits))
    routed = route(PROFILE, {"type": "identify", "traits": traits})
    kept = leaves(payloads(routed))
    for name, value in traits.items():
        if name not in ("email", "phone", "name") and not leaves(value) <= kept:
            written = {str(value), str(float(value))} if isinstance(value, int | float) else set()
            assert routed.unmapped or written & kept or _written(value) & kept, name


def _written(value: Any) -> set[str]:
    """Numbers as an attribute of text writes them."""
    inner = value.values() if isinstance(value, dict) else [value]
    return {str(v) for v in inner if isinstance(v, int | float)}


def test_a_message_nested_too_deep_to_write_is_refused_not_raised() -> None:
    deep: Any = 1
    for _ in range(400):
        deep = [deep]
    routed = route(ECOMMERCE, {"type": "track", "event": "A", "properties": {"deep": deep}})
    assert routed.operations == []
    assert routed.refusals[0][2].startswith("rule 1: can't be written as JSON")
