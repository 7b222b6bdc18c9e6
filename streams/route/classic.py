"""Template ``segment.classic``: what Segment's Classic destination sent, as Klaviyo's API takes it today.

``$`` names become attributes and the event's value; all traits are properties, too, as they were. An event id
(``$event_id``) is what there may be one of for a person and a metric, as Klaviyo kept it then. What Classic
left out is kept under its own name.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from streams.config.paths import MISSING
from streams.route.draft import Draft, Drafts
from streams.route.ecommerce import track
from streams.route.formats import number, text
from streams.route.traits import Attributes, is_identifier, map_traits
from streams.segment.classic import Call, Settings, by_name, is_order, person, plain, tracks
from streams.segment.envelope import Profile
from streams.segment.message import part

_SETTINGS = Settings(send_anonymous=True)
_PLACES = ("city", "region", "country", "zip", "timezone", "address1", "address2", "latitude", "longitude")
ATTRIBUTES = {f"${name}": name for name in ("first_name", "last_name", "title", "organization", "image")}
ATTRIBUTES |= {f"${name}": f"location.{name}" for name in _PLACES}
"""``$`` name → the attribute that it is today."""
_MADE = frozenset(["items", "itemnames", "categories", "$value", "$eventid"])
_MADE_OF_ITEM = frozenset(["itemprice", "rowtotal", "categories", "productcategories", "$value", "$eventid"])


def classic_traits(message: Mapping[str, Any], profile: Profile, unmapped: list[str]) -> Attributes:
    """The attributes that an identify gives; never raises."""
    if message.get("type") != "identify":
        return map_traits(message, profile, unmapped)
    found, traits = Attributes(), part(message, "traits")
    own = {"$email": profile["email"], "$phone_number": profile["phone"], "$id": profile["user_id"]}
    for name, value in person(message).items():
        if not found.set(ATTRIBUTES[name], value) and name == "$timezone":
            unmapped.append("context.timezone")
    for name, value in traits.items():
        if name in own:
            known = value is None or str(value).lower() == str(own[name]).lower()
        elif name in ATTRIBUTES:
            known = found.set(ATTRIBUTES[name], value)
        else:
            known = True
            if not is_identifier(found, name, value, profile, unmapped):
                found.properties[name] = value
        if not known:
            unmapped.append(f"traits.{name}")
    return found


def classic(message: Mapping[str, Any], unmapped: list[str]) -> Drafts:
    """The events that a track gives; never raises, on no message."""
    name = message.get("event")
    if message.get("type") != "track" or not isinstance(name, str):
        return track(message, unmapped)
    given = part(message, "properties")
    call, *products = tracks(message, name, _SETTINGS)
    event = _event(call, unmapped)
    if is_order(name):
        _whole_order(event, given, unmapped)
        return Drafts(event, list(_ordered(event, products, given, unmapped)))
    _own_id(event, call, given, unmapped)
    unmapped += [
        f"properties.{name}"
        for name in ("$value", "$event_id")
        if given.get(name) is not None and given[name] != call.properties.get(name)
    ]
    return Drafts(event)


def _event(call: Call, unmapped: list[str]) -> Draft:
    """``$value`` as the event's value, ``$event_id`` as its mark."""
    properties = dict(call.properties)
    event_id = properties.pop("$event_id", None)
    draft = Draft(call.metric, properties, mark=text(event_id) or None)
    if draft.mark is None and event_id not in (None, ""):
        unmapped.append("properties.$event_id")
    amount = properties.pop("$value", None)
    value: Any = None if amount is None else number(amount)
    if value is MISSING:
        unmapped.append("properties.$value")
    else:
        draft.value = value
    return draft


def _own_id(event: Draft, call: Call, given: Mapping[str, Any], unmapped: list[str]) -> None:
    """A property ``id`` is rarely the event's: as Classic took it for that, Klaviyo kept the first only."""
    if event.mark is not None:
        named = by_name(given)
        if named.get("id"):
            event.mark = None
        elif not named.get("orderid"):
            event.properties["eventId"] = call.properties["$event_id"]
    own = given.get("eventId")
    if own is not None and event.properties.setdefault("eventId", own) != own:
        unmapped.append("properties.eventId")


def _whole_order(order: Draft, given: Mapping[str, Any], unmapped: list[str]) -> None:
    """What Classic left out of an order: its id, amounts beside the value, products that are none."""
    for name, value in given.items():
        known = plain(name)
        if known == "orderid":
            if order.properties.setdefault("OrderId", value) != value:
                unmapped.append(f"properties.{name}")
        elif known in ("total", "revenue") and value is not None and number(value) != order.value:
            order.properties[name] = value
        elif known in _MADE:
            unmapped.append(f"properties.{name}")
        elif known == "products" and not _all_objects(value):
            order.properties[name] = value
            unmapped.append(f"properties.{name}")


def _all_objects(value: Any) -> bool:
    return isinstance(value, list) and all(each is None or isinstance(each, dict) for each in value)


def _ordered(
    order: Draft, calls: list[Call], given: Mapping[str, Any], unmapped: list[str]
) -> Iterator[Draft]:
    """Each product's event; its id is made of the order's, so without that there may be any number of it."""
    several = next((value for name, value in given.items() if plain(name) == "products"), ()) if calls else ()
    products = (each for each in several if isinstance(each, dict))
    for call, product in zip(calls, products, strict=True):
        draft = _event(call, unmapped)
        draft.key = call.properties["$event_id"]
        draft.mark = draft.key if order.mark else None
        if draft.value is None and call.properties.get("$value") is not None:
            draft.properties["Item Price"] = call.properties["$value"]
        if "OrderId" in order.properties:
            draft.properties["OrderId"] = order.properties["OrderId"]
        seen: set[str] = set()
        for name, value in product.items():
            known = plain(name)
            if known in ("productid", "id"):
                draft.properties.setdefault("ProductID", value)
            if known in seen or known in _MADE_OF_ITEM:
                unmapped.append(f"properties.products.{name}")
            seen.add(known)
        yield draft
