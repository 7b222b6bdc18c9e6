"""Klaviyo's webhook → one engagement an item, or a refusal that names everything wrong with it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from streams.ledger.reasons import Reason
from streams.segment.envelope import Engagement, typed_identifier
from streams.segment.refusal import LONGEST_ID, Refusal
from streams.segment.times import epoch_ms

_EMAIL = ("email", "$email", "Recipient Email Address")
_PHONE = ("phone_number", "$phone_number", "phone", "To Number")
_EXTERNAL = ("external_id", "$id")
_NEEDED = (
    "external_id, Klaviyo's event id, is missing",
    "topic is missing",
    "the payload names no profile: no external_id, email, phone_number or profile id",
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What all items of one webhook share."""

    account: str
    space: str
    accepted_at: int


def webhook_id(payload: Mapping[str, Any]) -> str | None:
    """Return ``meta.klaviyo_webhook_id``."""
    meta = payload.get("meta")
    found = meta.get("klaviyo_webhook_id") if isinstance(meta, dict) else None
    return found if isinstance(found, str) else None


def read(item: object, body: bytes, delivery: Delivery) -> tuple[str, Engagement] | Refusal:
    """Read one item, whose payload has the form of a Get Event response; return its typed identifier too.

    The profile's identifiers stand in the included profile, in the event's attributes or in its properties,
    by the topic; the first found counts.
    """
    if not isinstance(item, dict):
        return Refusal(Reason.INVALID_MESSAGE, "an item must be an object")
    payload = item.get("payload")
    payload = payload if isinstance(payload, dict) else {}
    event = payload.get("data")
    event = event if isinstance(event, dict) else payload
    attributes = _object(event.get("attributes"))
    places = list(_places(payload, event, attributes))
    event_id = _text(item.get("external_id")) or _text(event.get("id"))
    topic = _text(item.get("topic"))
    email, phone, external = (_first(places, names) for names in (_EMAIL, _PHONE, _EXTERNAL))
    klaviyo_id = _profile_id(payload, event)
    identifier = typed_identifier(external, None, email, phone) or (klaviyo_id and "k:" + klaviyo_id)
    if event_id is None or topic is None or not identifier:
        needed = zip(_NEEDED, (event_id, topic, identifier), strict=True)
        wrong = "; ".join(says for says, found in needed if not found)
        return Refusal(Reason.INVALID_MESSAGE, wrong, event_id or "")
    times = (attributes.get("datetime"), attributes.get("timestamp"))
    time = next((ms for ms in map(epoch_ms, times) if ms is not None), delivery.accepted_at)
    return identifier, {
        "space": delivery.space,
        "accepted_at": delivery.accepted_at,
        "event_id": event_id,
        "account": delivery.account,
        "topic": topic,
        "email": email,
        "phone": phone,
        "external_id": external,
        "klaviyo_id": klaviyo_id,
        "time": time,
        "body": body,
    }


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and 0 < len(value) <= LONGEST_ID and not value.isspace() else None


def _included(payload: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    included = payload.get("included")
    for one in included if isinstance(included, list) else ():
        if isinstance(one, dict) and one.get("type") == "profile":
            yield one


def _places(
    payload: Mapping[str, Any], event: Mapping[str, Any], attributes: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    for profile in _included(payload):
        yield _object(profile.get("attributes"))
    profile = _object(attributes.get("profile") or event.get("profile"))
    profile = _object(profile.get("data")) or profile
    yield _object(profile.get("attributes")) or profile
    yield _object(attributes.get("event_properties"))
    yield _object(attributes.get("properties"))


def _first(places: list[Mapping[str, Any]], names: tuple[str, ...]) -> str | None:
    found = (_text(place.get(name)) for place in places for name in names)
    return next((text for text in found if text is not None), None)


def _profile_id(payload: Mapping[str, Any], event: Mapping[str, Any]) -> str | None:
    related = _object(_object(_object(event.get("relationships")).get("profile")).get("data"))
    found = _text(related.get("id"))
    if found is None:
        found = next((_text(profile.get("id")) for profile in _included(payload)), None)
    return found
