"""Segment's e-commerce events at Klaviyo: the specification's examples, and what shops really send."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.route.sample import EVERYTHING, mapped, payloads, route

_HERE = Path(__file__).parent
EXAMPLES = [orjson.loads(line) for line in (_HERE / "ecommerce_examples.jsonl").read_bytes().splitlines()]
EXPECTED = [orjson.loads(line) for line in (_HERE / "ecommerce_expected.jsonl").read_bytes().splitlines()]
MONOPOLY = {"product_id": "1", "sku": "S1", "name": "Monopoly", "price": 19, "quantity": 2}


def order(**properties: Any) -> dict[str, Any]:
    return {"type": "track", "event": "Order Completed", "properties": {"order_id": "o1", **properties}}


@pytest.mark.parametrize(("given", "expected"), list(zip(EXAMPLES, EXPECTED, strict=True)), ids=str)
def test_the_example_of_the_specification(given: dict[str, Any], expected: dict[str, Any]) -> None:
    routed = route(EVERYTHING, {"type": "track", **given})
    assert given["event"] == expected["event"]
    assert payloads(routed) == expected["operations"]
    assert routed.unmapped == expected["unmapped"]


def test_all_28_events_have_an_example() -> None:
    assert len({example["event"] for example in EXAMPLES}) == 28


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("Viewed Product", "Viewed Product"),
        ("Added Product", "Added to Cart"),
        ("Completed Order", "Placed Order"),
        ("Started Order", "Started Checkout"),
        ("order completed", "Placed Order"),
        (" Order Completed ", "Placed Order"),
        ("Something Else", "Something Else"),
        ("Order Completed Twice", "Order Completed Twice"),
    ],
)
def test_old_names_and_other_cases_are_known_and_other_events_keep_their_name(name: str, metric: str) -> None:
    assert mapped({"type": "track", "event": name, "properties": {}})["metric"] == metric


def test_an_order_gives_one_event_for_each_product_with_ids_that_stay() -> None:
    message = order(products=[MONOPOLY, {**MONOPOLY, "product_id": None}, MONOPOLY, "9"], currency="eur")
    first, again = route(EVERYTHING, message), route(EVERYTHING, message)
    ids = [operation["op_id"] for _, _, operation in first.operations]
    assert ids == [operation["op_id"] for _, _, operation in again.operations]
    assert len(set(ids)) == len(ids) == 5
    products = payloads(first)[1:]
    assert [product["metric"] for product in products] == ["Ordered Product"] * 4
    assert [product.get("value") for product in products] == [38, 38, 38, None]
    assert [product["properties"]["OrderId"] for product in products] == ["o1"] * 4
    assert {product["value_currency"] for product in products} == {"EUR"}


def test_a_product_keeps_its_id_when_the_order_lists_it_elsewhere() -> None:
    one, other = MONOPOLY, {"product_id": "2"}
    ids = [
        [operation["op_id"] for _, _, operation in route(EVERYTHING, order(products=products)).operations][1:]
        for products in ([one, other], [other, one])
    ]
    assert ids[0] == ids[1][::-1]


@pytest.mark.parametrize(
    ("properties", "value"),
    [
        ({"total": 27.5, "revenue": 22.5}, 27.5),
        ({"total": 0, "revenue": 22.5}, 0),
        ({"total": "19.99"}, 19.99),
        ({"total": None, "revenue": "20"}, 20),
        ({"total": {}, "value": 3}, 3),
        ({"total": "free"}, None),
        ({"total": True}, None),
        ({}, None),
    ],
)
def test_the_value_is_the_first_amount_that_is_a_number(properties: dict[str, Any], value: Any) -> None:
    assert mapped(order(**properties)).get("value") == value


def test_amounts_written_as_text_become_numbers() -> None:
    found = mapped(order(total="19.99", tax="2", products=[{"price": "9.50", "quantity": "2"}]))
    assert found["properties"]["total"] == 19.99
    assert found["properties"]["tax"] == 2
    assert found["properties"]["Items"] == [{"ItemPrice": 9.5, "Quantity": 2, "RowTotal": 19.0}]


def test_a_currency_is_checked_and_a_wrong_one_kept_as_a_property() -> None:
    assert mapped(order(currency=" usd "))["value_currency"] == "USD"
    routed = route(EVERYTHING, order(currency="dollars"))
    assert "value_currency" not in payloads(routed)[0]
    assert payloads(routed)[0]["properties"]["currency"] == "dollars"
    assert routed.unmapped == ["properties.currency"]


@pytest.mark.parametrize("products", ["a", {"product_id": 1}, 3])
def test_products_that_are_no_list_stay_as_they_came(products: Any) -> None:
    routed = route(EVERYTHING, order(products=products))
    assert payloads(routed)[0]["properties"]["products"] == products
    assert routed.unmapped == ["properties.products"]
    assert len(routed.operations) == 1


def test_a_broken_product_costs_only_itself() -> None:
    routed = route(EVERYTHING, order(products=[MONOPOLY, None, [1], MONOPOLY | {"price": "?"}]))
    event = payloads(routed)[0]["properties"]
    assert len(event["Items"]) == 2
    assert event["products"][1:3] == [None, [1]]
    assert routed.unmapped == [
        "properties.products[1]",
        "properties.products[2]",
        "properties.products.price",
    ]
    assert len(routed.operations) == 3


def test_two_hundred_products_are_two_hundred_events() -> None:
    routed = route(EVERYTHING, order(products=[MONOPOLY] * 200))
    assert len({operation["op_id"] for _, _, operation in routed.operations}) == 201


def test_names_that_are_klaviyos_already_are_not_overwritten() -> None:
    products = [{"ProductID": 1, "product_id": 2}]
    routed = route(EVERYTHING, order(OrderId="mine", Items="mine", products=products))
    event = payloads(routed)[0]["properties"]
    assert (event["OrderId"], event["Items"]) == ("o1", [{"ProductID": 1, "product_id": 2}])
    assert routed.unmapped == ["properties.OrderId", "properties.Items"]


def test_a_page_is_viewed_page_with_its_name() -> None:
    found = mapped({"type": "page", "name": "Home", "properties": {"path": "/"}})
    assert found == {"metric": "Viewed Page", "properties": {"name": "Home", "path": "/"}}


@pytest.mark.parametrize("event", [None, "", "  ", 3, {"a": 1}])
def test_an_event_without_a_name_is_refused(event: Any) -> None:
    routed = route(EVERYTHING, {"type": "track", "event": event})
    assert routed.operations == []
    assert routed.refusals == [("acme", "mapping", "rule 2: the event has no name to call the metric by")]
