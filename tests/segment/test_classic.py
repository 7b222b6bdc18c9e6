"""What the Classic destination sent, by the behaviour of its last release."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.segment.classic import Call, Settings, calls

PERSON = {
    "email": "ada@example.com",
    "first_name": "Ada",
    "lastName": "Byron",
    "phone": "5555",
    "plan": "pro",
}


def identify(traits: dict[str, Any], **message: Any) -> dict[str, Any]:
    return {"type": "identify", "userId": "u1", "traits": traits, **message}


def track(event: str, /, **properties: Any) -> dict[str, Any]:
    return {"type": "track", "userId": "u1", "event": event, "properties": properties}


def made(message: dict[str, Any], **settings: Any) -> list[Call]:
    found = calls(message, Settings(**settings))
    assert isinstance(found, list)
    return found


def test_an_identify_sent_all_traits_and_beside_them_the_special_names() -> None:
    address = {"city": "Utrecht", "state": "UT", "postalCode": "3511", "country": "NL"}
    message = identify(PERSON | {"address": address, "jobTitle": "CTO"}, context={"timezone": "Europe/Rome"})
    (call,) = made(message)
    assert (call.kind, call.who) == ("identify", {"$id": "u1", "$email": "ada@example.com"})
    special = {name: value for name, value in call.properties.items() if name.startswith("$")}
    assert special == {
        "$id": "u1", "$email": "ada@example.com", "$phone_number": "5555", "$first_name": "Ada",
        "$last_name": "Byron", "$title": "CTO", "$city": "Utrecht", "$region": "UT", "$country": "NL",
        "$zip": "3511", "$timezone": "Europe/Rome",
    }  # fmt: skip
    assert call.properties.items() >= (PERSON | {"id": "u1", "jobTitle": "CTO"}).items()


def test_a_full_name_gave_the_first_and_the_rest() -> None:
    (call,) = made(identify({"name": " Ada King Byron "}))
    assert (call.properties["$first_name"], call.properties["$last_name"]) == ("Ada", "King Byron")


@pytest.mark.parametrize(
    ("own", "setting", "expected"),
    [
        ({}, {"list_id": "News"}, ("list", "News", True)),
        ({"listId": "Other"}, {"list_id": "News"}, ("list", "Other", True)),
        ({"confirmOptin": False}, {"list_id": "News"}, ("list", "News", False)),
        ({"confirmOptin": True}, {"list_id": "News", "confirm_optin": False}, ("list", "News", True)),
        ({}, {}, ("identify", None, None)),
    ],
)
def test_an_identify_with_an_email_went_to_the_list_of_the_message_or_the_setting(
    own: dict[str, Any], setting: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    (call,) = made(identify(PERSON, integrations={"Klaviyo": own}), **setting)
    assert (call.kind, call.list_id, call.confirm_optin) == expected
    (without,) = made(identify({"plan": "pro"}), **setting)
    assert without.kind == "identify"


def test_who_had_no_user_id_was_sent_only_where_anonymous_data_was() -> None:
    message = {"type": "track", "anonymousId": "a1", "event": "Played", "properties": {}}
    assert calls(message, Settings()) == "no userId, and anonymous data was not sent"
    (call,) = made(message, send_anonymous=True)
    assert call.who == {"$id": "a1"}
    (call,) = made(track("Played", email="ada@example.com"), enforce_email=True)
    assert call.who == {"$email": "ada@example.com"}


@pytest.mark.parametrize("kind", ["page", "screen", "group", "alias", None])
def test_other_messages_were_not_sent(kind: str | None) -> None:
    assert calls({"type": kind, "userId": "u1"}, Settings()) == f"no call for a {kind}"


def test_a_track_was_a_metric_of_its_name_with_revenue_as_value_and_an_order_as_event_id() -> None:
    (call,) = made(track("Played", revenue="$19.99", orderId="o1", a=1))
    assert call.metric == "Played"
    sent = {"revenue": "$19.99", "orderId": "o1", "a": 1, "$value": 19.99, "$event_id": "o1"}
    assert call.properties == sent
    assert made(track("Played", eventId="e1"))[0].properties == {"$event_id": "e1"}
    assert made(track("Read", id=5, order_id="o1"))[0].properties["$event_id"] == 5


ORDER = track(
    "Order Completed", order_id="o1", total=65.0, revenue=50.0, tax=10, coupon="x",
    products=[
        {"product_id": 123, "sku": "s", "category": "g", "price": 20.0, "name": "Pulse", "quantity": 2,
         "imageUrl": "i", "brand": "b"},
        {"sku": "t", "price": 30.0},
    ],
)  # fmt: skip


def test_an_order_was_placed_order_and_an_ordered_product_each() -> None:
    order, pulse, other = made(ORDER)
    assert [call.metric for call in (order, pulse, other)] == ["Placed Order", *["Ordered Product"] * 2]
    assert order.who == pulse.who == {"$id": "u1"}
    assert order.properties == {
        "$event_id": "o1", "$value": 50.0, "tax": 10, "coupon": "x",
        "Categories": ["g", None], "Item Names": ["Pulse", None],
        "Items": [
            {"SKU": "s", "Name": "Pulse", "Quantity": 2, "Item Price": 20.0, "Row Total": 20.0,
             "Categories": ["g"], "Image URL": "i", "product_id": 123, "brand": "b"},
            {"SKU": "t", "Quantity": 1, "Item Price": 30.0, "Row Total": 30.0, "Categories": [None]},
        ],
    }  # fmt: skip
    assert pulse.properties == {
        "$event_id": "o1_123", "$value": 20.0, "Name": "Pulse", "Quantity": 2, "Product Categories": ["g"],
        "SKU": "s", "Image URL": "i", "brand": "b",
    }  # fmt: skip
    assert other.properties["$event_id"] == "o1_t"


def test_an_order_kept_its_name_where_that_was_set_and_was_known_by_its_old_one() -> None:
    assert made(ORDER, segment_spec=True)[0].metric == "Order Completed"
    assert made(ORDER | {"event": "completed order"})[0].metric == "Placed Order"
    assert made(track("Order Completed Twice"))[0].metric == "Order Completed Twice"
    assert made(track("Order Completed", total=3))[0].properties["$value"] == 3


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("aid$_", max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["id", "order_id", "products", "revenue", "email", "name", "address", "phone", "$value"]
)


@given(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["identify", "track"]), "userId": JSON},
        optional={
            "event": st.just("Order Completed") | JSON,
            "properties": st.dictionaries(NAMES, JSON) | JSON,
            "traits": st.dictionaries(NAMES, JSON) | JSON,
            "integrations": JSON,
            "context": JSON,
        },
    )
)
def test_no_message_raises(message: dict[str, Any]) -> None:
    assert calls(message, Settings(list_id="L", send_anonymous=True))
