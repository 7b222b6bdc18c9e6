"""Template ``segment.classic``: what the Classic destination sent, as the API takes it today."""

from typing import Any

import pytest

from tests.route.sample import PETER, payloads, route, router

RULES = router(
    """
  - {when: type = "identify", do: profile, template: segment.classic}
  - {when: type != "identify", do: event, template: segment.classic}
"""
)
ORDER = {
    "order_id": "o1", "total": 65.0, "revenue": 50.0, "currency": "USD", "tax": 10,
    "products": [
        {"product_id": 123, "sku": "s", "category": "g", "price": 20.0, "name": "Pulse", "quantity": 2},
        {"sku": "t", "price": 30.0, "brand": "b"},
    ],
}  # fmt: skip


def track(event: str, /, **properties: Any) -> dict[str, Any]:
    return {"type": "track", "userId": "u1", "event": event, "properties": properties}


def test_traits_are_attributes_and_beside_them_properties_as_they_came() -> None:
    traits = {
        "email": "peter@example.com", "firstName": "Peter", "last_name": "G", "title": "CTO", "plan": "pro",
        "address": {"city": "Utrecht", "state": "UT"}, "$extra": {"html": "<b>"}, "$image": "i.png",
    }  # fmt: skip
    message = {"type": "identify", "traits": traits, "context": {"timezone": "Europe/Rome", "ip": "1.2.3.4"}}
    routed = route(RULES, message)
    assert payloads(routed) == [
        {
            "attributes": {
                "first_name": "Peter", "last_name": "G", "title": "CTO", "image": "i.png",
                "location": {"city": "Utrecht", "region": "UT", "timezone": "Europe/Rome"},
                "properties": {
                    "firstName": "Peter", "last_name": "G", "title": "CTO", "plan": "pro",
                    "address": {"city": "Utrecht", "state": "UT"}, "$extra": {"html": "<b>"},
                },
            }
        }
    ]  # fmt: skip
    assert routed.unmapped == []


def test_special_names_that_people_wrote_themselves_are_attributes_and_never_identifiers() -> None:
    traits = {"$first_name": "Ada", "$city": "Rome", "$id": "other", "$title": {"a": 1}}
    routed = route(RULES, {"type": "identify", "traits": traits})
    attributes = payloads(routed)[0]["attributes"]
    assert (attributes["first_name"], attributes["location"]) == ("Ada", {"city": "Rome"})
    assert "properties" not in attributes
    assert routed.unmapped == ["traits.$id", "traits.$title"]


def test_what_a_trait_says_goes_before_what_was_written_as_a_special_name() -> None:
    routed = route(RULES, {"type": "identify", "traits": {"$first_name": "Ada", "firstName": "Eve"}})
    assert payloads(routed)[0]["attributes"]["first_name"] == "Eve"
    assert routed.unmapped == ["traits.$first_name"]


def test_a_track_is_a_metric_of_its_name_with_the_value_that_revenue_or_it_gives() -> None:
    (sent,) = payloads(route(RULES, track("Played", revenue="$12.50", a=1)))
    assert sent == {"metric": "Played", "properties": {"revenue": "$12.50", "a": 1}, "value": 12.5}
    (sent,) = payloads(route(RULES, track("Played", **{"$value": 3, "$extra": {"a": 1}})))
    assert (sent["value"], sent["properties"]) == (3, {"$extra": {"a": 1}})


def test_an_event_id_is_what_a_person_has_one_of() -> None:
    (sent,) = payloads(route(RULES, track("Played", eventId="e1")))
    assert sent["properties"] == {"eventId": "e1"}
    assert sent["once"].startswith(f"of:{PETER['id']}:e1\x1f")
    (sent,) = payloads(route(RULES, track("Played", orderId="o1")))
    assert (sent["properties"], "of:p1:o1" in sent["once"]) == ({"orderId": "o1"}, True)
    (sent,) = payloads(route(RULES, track("Played", **{"$event_id": "x"})))
    assert (sent["properties"], "of:p1:x" in sent["once"]) == ({"eventId": "x"}, True)


def test_an_id_of_what_the_event_is_about_is_not_the_events() -> None:
    """Whoever reads the article 5 twice has read it twice."""
    (sent,) = payloads(route(RULES, track("Read", id=5, eventId="e1")))
    assert sent == {"metric": "Read", "properties": {"id": 5, "eventId": "e1"}}


def test_an_order_has_the_names_and_amounts_of_classic_and_ids_of_order_and_product() -> None:
    routed = route(RULES, track("Order Completed", **ORDER))
    order, pulse, other = payloads(routed)
    marks = [sent.pop("once").split("\x1f")[0] for sent in (order, pulse, other)]
    assert marks == ["of:p1:o1", "of:p1:o1_123", "of:p1:o1_t"]
    assert order == {
        "metric": "Placed Order",
        "value": 50.0,
        "properties": {
            "OrderId": "o1", "currency": "USD", "tax": 10, "total": 65.0,
            "Categories": ["g", None], "Item Names": ["Pulse", None],
            "Items": [
                {"SKU": "s", "Name": "Pulse", "Quantity": 2, "Item Price": 20.0, "Row Total": 20.0,
                 "Categories": ["g"], "product_id": 123},
                {"SKU": "t", "Quantity": 1, "Item Price": 30.0, "Row Total": 30.0, "Categories": [None],
                 "brand": "b"},
            ],
        },
    }  # fmt: skip
    assert pulse == {
        "metric": "Ordered Product",
        "value": 20.0,
        "properties": {
            "Name": "Pulse", "Quantity": 2, "Product Categories": ["g"], "SKU": "s", "OrderId": "o1",
            "ProductID": 123,
        },
    }  # fmt: skip
    assert other["properties"]["brand"] == "b"
    assert routed.unmapped == []


def test_a_rules_own_once_goes_before_the_events_id() -> None:
    rules = router('  - {when: type = "track", do: event, template: segment.classic, once: $.properties.a}')
    marks = [sent["once"] for sent in payloads(route(rules, track("Order Completed", a="x", **ORDER)))]
    assert all(mark.startswith("by:x\x1f") for mark in marks)


def test_products_of_an_order_without_an_id_are_all_sent() -> None:
    routed = route(RULES, track("Order Completed", products=[{"sku": "s"}, {"sku": "s"}]))
    assert [("once" in sent, sent["metric"]) for sent in payloads(routed)] == [
        (False, "Placed Order"), (False, "Ordered Product"), (False, "Ordered Product"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("properties", "unmapped"),
    [
        ({"products": "x"}, ["properties.products"]),
        ({"products": [3]}, ["properties.products"]),
        ({"Items": [1], "$value": 3}, ["properties.Items", "properties.$value"]),
        ({"products": [{"sku": "s", "SKU": "t"}]}, ["properties.products.SKU"]),
        ({"products": [{"price": "dear"}]}, ["properties.$value"]),
        ({"order_id": "a", "orderId": "b"}, ["properties.orderId"]),
    ],
)
def test_what_has_no_place_is_named(properties: dict[str, Any], unmapped: list[str]) -> None:
    assert route(RULES, track("Order Completed", **properties)).unmapped == unmapped


def test_other_messages_are_taken_as_the_template_track_takes_them() -> None:
    (sent,) = payloads(route(RULES, {"type": "page", "name": "Home", "properties": {"path": "/"}}))
    assert sent == {"metric": "Viewed Page", "properties": {"name": "Home", "path": "/"}}
