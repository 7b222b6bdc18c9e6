"""What Segment's Classic Klaviyo destination (server side, until 2024) sent for a message. Pure.

Source: the destination's last public release, 1.4.2, and the readers of Segment messages that it used. Names
are found whatever their case and separators (``order_id``, ``orderId``), as those readers found them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from streams.segment.message import part

_APART = re.compile(r"[^a-z0-9$]+")
_ORDER = re.compile(r"[ _]?(completed[ _]?order|order[ _]?completed)[ _]?\Z", re.IGNORECASE)
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)")
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+\Z")
_LONGEST_NUMBER = 60
_OF_ORDER = frozenset({
    "$eventid", "$value", "orderid", "categories", "itemnames", "items", "revenue", "total", "products",
})  # fmt: skip
_OF_ITEM = frozenset({
    "sku", "name", "quantity", "itemprice", "price", "rowtotal", "categories", "category", "producturl",
    "imageurl",
})  # fmt: skip
_OF_PRODUCT = frozenset({
    "$eventid", "$value", "name", "productcategories", "category", "id", "productid", "sku", "quantity",
    "price", "producturl", "imageurl",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Settings:
    """The destination's settings, at its defaults."""

    list_id: str | None = None
    confirm_optin: bool = True
    send_anonymous: bool = False
    """Its option "fallback on anonymousId"."""
    enforce_email: bool = False
    """Only ``$email``, never ``$id``."""
    segment_spec: bool = False
    """An order is "Order Completed", not "Placed Order"."""


class Call(NamedTuple):
    """One call that it made: ``/identify``, ``/track``, or ``/v1/list/LIST/members`` instead of the first."""

    kind: Literal["identify", "list", "track"]
    who: dict[str, Any]
    """``$id`` and ``$email``, as far as they were sent."""
    properties: dict[str, Any]
    """Of the person or the event, ``$`` names included."""
    metric: str | None = None
    list_id: str | None = None
    confirm_optin: bool | None = None


def by_name(values: Mapping[str, Any]) -> dict[str, Any]:
    """An object's values by their plain names; of two with one name the first counts."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found.setdefault(plain(name), value)
    return found


@lru_cache(maxsize=4096)
def plain(name: str) -> str:
    """A name without case and separators."""
    return _APART.sub("", name.lower())


def calls(message: Mapping[str, Any], settings: Settings) -> list[Call] | str:
    """The calls that the destination made of a message, or why it made none; never raises."""
    kind = message.get("type")
    if kind not in ("identify", "track"):
        return f"no call for a {kind}"
    if not message.get("userId") and not settings.send_anonymous:
        return "no userId, and anonymous data was not sent"
    if kind == "identify":
        return [_identify(message, settings)]
    event = message.get("event")
    return tracks(message, event if isinstance(event, str) else None, settings)


def tracks(message: Mapping[str, Any], event: str | None, settings: Settings) -> list[Call]:
    """The events of a track: itself, and for an order one for each product."""
    if event is not None and is_order(event):
        return _order(message, settings)
    given = part(message, "properties")
    named = by_name(given)
    found = {name: value for name, value in given.items() if name != "eventId" or value is None}
    ids = (named.get("id"), named.get("orderid"), named.get("eventid"))
    amount = money(named.get("revenue"))
    if amount is not None:
        found["$value"] = amount
    if (id_ := next((each for each in ids if each), None)) is not None:
        found["$event_id"] = id_
    who = _kept({"$email": _email(message, named), "$id": _id(message, settings)})
    return [Call("track", who, found, event)]


def is_order(event: str) -> bool:
    """Whether the event was an order to it, by its name in either version of Segment's specification."""
    return _ORDER.match(event) is not None


def money(value: Any) -> float | None:
    """An amount as it was read: zero and what begins with no number are none."""
    if isinstance(value, str):
        found = _NUMBER.match(value.replace("$", "")[:_LONGEST_NUMBER])
        return float(found[0]) if found else None
    return value or None if isinstance(value, int | float) and not isinstance(value, bool) else None


def person(message: Mapping[str, Any]) -> dict[str, Any]:
    """``$`` names of a person's attributes as an identify filled them, without identifiers."""
    named = by_name(part(message, "traits"))
    inside = named.get("address")
    places = (by_name(inside) if isinstance(inside, dict) else {}, named)
    first, last = _names(named)
    found = {
        "$first_name": first,
        "$last_name": last,
        "$title": _first((named,), "title", "position", "jobtitle"),
        "$organization": named.get("organization"),
        "$city": _first(places, "city"),
        "$region": _first(places, "region", "state"),
        "$country": _first(places, "country"),
        "$timezone": part(message, "context").get("timezone"),
        "$zip": _first(places, "postalcode", "zip"),
    }
    return _kept(found)


def _identify(message: Mapping[str, Any], settings: Settings) -> Call:
    traits = part(message, "traits")
    named = by_name(traits)
    own = part(part(message, "integrations"), "Klaviyo")
    id_ = _id(message, settings) if not settings.enforce_email else None
    email = named.get("email") or _address(message.get("userId"))
    phone = named.get("phone")
    contact = {"$email": email, "$phone_number": phone[0] if isinstance(phone, list) and phone else phone}
    found = {**traits, "id": message.get("userId") or None, **person(message), **_kept(contact), "$id": id_}
    if settings.enforce_email:
        found = {name: value for name, value in found.items() if name not in ("id", "$id")}
    who = _kept({"$email": email, "$id": id_})
    list_id = own.get("listId") or settings.list_id
    if not (list_id and email):
        return Call("identify", who, _kept(found))
    confirm = own.get("confirmOptin")
    asked = settings.confirm_optin if confirm is None else bool(confirm)
    return Call("list", who, _kept(found), list_id=str(list_id), confirm_optin=asked)


def _order(message: Mapping[str, Any], settings: Settings) -> list[Call]:
    given = part(message, "properties")
    named = by_name(given)
    several = named.get("products")
    products = [each for each in several if isinstance(each, dict)] if isinstance(several, list) else []
    order_id = named.get("id") or named.get("orderid")
    who = _kept({"$id": _id(message, settings)})
    amount = money(named.get("revenue") or named.get("total"))
    found: dict[str, Any] = {"$event_id": order_id, "$value": amount}
    readers = [by_name(product) for product in products]
    found["Categories"] = [each.get("category") for each in readers]
    found["Item Names"] = [each.get("name") for each in readers]
    found["Items"] = [_item(*both) for both in zip(products, readers, strict=True)]
    event = "Order Completed" if settings.segment_spec else "Placed Order"
    order = Call("track", who, _kept(found) | _rest(given, _OF_ORDER), event)
    return [order, *(_product(*both, order_id, who) for both in zip(products, readers, strict=True))]


def _item(product: Mapping[str, Any], named: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        "SKU": named.get("sku"),
        "Name": named.get("name"),
        "Quantity": 1 if named.get("quantity") is None else named.get("quantity"),
        "Item Price": named.get("price"),
        "Row Total": named.get("price"),
        "Categories": [named.get("category")],
        "Product URL": named.get("producturl"),
        "Image URL": named.get("imageurl"),
    }
    return _kept(found) | _rest(product, _OF_ITEM)


def _product(
    product: Mapping[str, Any], named: Mapping[str, Any], order_id: Any, who: dict[str, Any]
) -> Call:
    id_ = named.get("productid") or named.get("id") or named.get("sku")
    found = {
        "$value": named.get("price"),
        "Name": named.get("name"),
        "Quantity": 1 if named.get("quantity") is None else named.get("quantity"),
        "Product Categories": [named.get("category")],
        "SKU": named.get("sku"),
        "$event_id": f"{_written(order_id)}_{_written(id_)}",
        "Product URL": named.get("producturl"),
        "Image URL": named.get("imageurl"),
    }
    return Call("track", who, _kept(found) | _rest(product, _OF_PRODUCT), "Ordered Product")


def _first(places: tuple[Mapping[str, Any], ...], *names: str) -> Any:
    return next((value for name in names for place in places if (value := place.get(name))), None)


def _names(named: Mapping[str, Any]) -> tuple[str | None, str | None]:
    first, last, name = named.get("firstname"), named.get("lastname"), named.get("name")
    whole = name.strip().partition(" ") if isinstance(name, str) else ("", "", "")
    return (
        first.strip() if isinstance(first, str) else whole[0] or None,
        last.strip() if isinstance(last, str) else whole[2].strip() or None,
    )


def _id(message: Mapping[str, Any], settings: Settings) -> Any:
    return None if settings.enforce_email else message.get("userId") or message.get("anonymousId")


def _email(message: Mapping[str, Any], properties: Mapping[str, Any]) -> Any:
    shared = by_name(part(part(message, "context"), "traits")).get("email")
    return properties.get("email") or shared or _address(message.get("userId"))


def _address(value: Any) -> str | None:
    return value if isinstance(value, str) and _ADDRESS.match(value) else None


def _written(value: Any) -> str:
    return "undefined" if value is None else str(value)


def _kept(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _rest(values: Mapping[str, Any], known: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if plain(name) not in known}
