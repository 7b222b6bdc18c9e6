"""One Segment message → an envelope for each space, or a refusal that names everything wrong with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from streams.ledger.reasons import Reason
from streams.segment.envelope import Envelope, event_uid, typed_identifier
from streams.segment.refusal import LONGEST_ID, Refusal
from streams.segment.times import epoch_ms
from streams.segment.tracking_plan import TrackingPlan

TYPES = frozenset({"track", "identify", "page", "screen", "group", "alias"})
LONGEST_NAME = 1024
EXACT = 2**53
"""Whole numbers beyond 64 bits are read as floats, and several as the same one: two people as one."""
_NOTHING: dict[str, Any] = {}
_OBJECTS = ("context", "properties", "traits")
_NAMED = frozenset({"page", "screen"})
_BY_CONTACT = frozenset({"track", "identify"})
"""The types that may name a person by e-mail address or phone alone."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What all messages of one request share."""

    source: str
    spaces: tuple[str, ...]
    accepted_at: int
    trace_id: str
    max_event_bytes: int
    plan: TrackingPlan | None = None
    """What tracks are held to; None = nothing."""


class _Facts(TypedDict):
    """The envelope's fields that are the same in every space; an empty string is an absent value."""

    type: str
    name: str
    user_id: str
    anonymous_id: str
    email: str
    phone: str
    country: str
    previous_id: str


Read = list[tuple[str, Envelope]]
"""The typed identifier and the envelope for each space."""


def read(message: object, body: bytes, content: bytes, arrival: Arrival) -> Read | Refusal:
    """Read one message.

    Args:
        message: the parsed JSON.
        body: its bytes, as the envelope will hold them.
        content: the bytes that are the same in every redelivery; the uid's root where there is no messageId.
        arrival: whence and when.
    """
    if not isinstance(message, dict):
        return Refusal(Reason.INVALID_MESSAGE, f"an event must be an object, this is {_kind(message)}")
    wrong: list[str] = []
    message_id = _id(message, "messageId", wrong)
    facts = _facts(message, wrong)
    identifier = _identifier(facts, wrong)
    if len(body) > arrival.max_event_bytes:
        size = f"the event has {len(body)} bytes, the most is {arrival.max_event_bytes}"
        return Refusal(Reason.TOO_LARGE, "; ".join((size, *wrong)), message_id or "")
    if wrong or identifier is None:
        return Refusal(Reason.INVALID_MESSAGE, "; ".join(wrong), message_id or "")
    plan = arrival.plan if facts["type"] == "track" else None
    if plan is not None and (broken := plan.refusal(facts["name"], message)) is not None:
        return Refusal(Reason.CONTRACT, broken, message_id or "")
    time = _time(message, arrival.accepted_at)
    made: Read = []
    for space in arrival.spaces:
        uid = event_uid(space, identifier, message_id, content)
        envelope: Envelope = {
            "uid": uid,
            "space": space,
            "accepted_at": arrival.accepted_at,
            "event_id": message_id or uid.hex(),
            **facts,
            "time": time,
            "source": arrival.source,
            "trace_id": arrival.trace_id,
            "body": body,
        }
        made.append((identifier, envelope))
    return made


def _facts(message: dict[str, Any], wrong: list[str]) -> _Facts:
    kind = message.get("type")
    if not isinstance(kind, str) or kind not in TYPES:
        wrong.append(f"type must be one of {', '.join(sorted(TYPES))}, this is {_shown(kind)}")
        kind = ""
    for field in _OBJECTS:
        value = message.get(field)
        if value is not None and not isinstance(value, dict):
            wrong.append(f"{field} must be an object, this is {_kind(value)}")
    user_id = _id(message, "userId", wrong)
    email, phone, country = contact(message, kind)
    return {
        "type": kind,
        "name": _name(message, kind, wrong) or "",
        "user_id": user_id or "",
        "anonymous_id": _id(message, "anonymousId", wrong) or "",
        "email": email or "",
        "phone": phone or "",
        "country": country or "",
        "previous_id": _links(message, kind, user_id, wrong) or "",
    }


def _identifier(facts: _Facts, wrong: list[str]) -> str | None:
    """Return the typed identifier that the event is partitioned by."""
    found = typed_identifier(facts["user_id"], facts["anonymous_id"], None, None)
    if found is not None:
        return found
    by_contact = facts["type"] in _BY_CONTACT
    if by_contact:
        found = typed_identifier(None, None, facts["email"], facts["phone"])
    if found is None:
        also = ", or an email or phone in its traits" if by_contact else ""
        wrong.append(f"the event names nobody: it needs userId or anonymousId{also}")
    return found


def _time(message: dict[str, Any], accepted_at: int) -> int:
    time = epoch_ms(message.get("timestamp"))
    if time is None:
        time = epoch_ms(message.get("originalTimestamp"))
    return accepted_at if time is None else time


def _id(message: Mapping[str, Any], field: str, wrong: list[str]) -> str | None:
    """Return an id as text; a blank one is none, a number becomes text, anything else is a violation."""
    value = message.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        wrong.append(f"{field} must be a string, this is {_kind(value)}")
        return None
    if isinstance(value, float) and abs(value) > EXACT:
        wrong.append(f"{field} is a number too long to be read exactly: send it as a string")
        return None
    if not isinstance(value, str):
        value = str(int(value)) if isinstance(value, int) or value.is_integer() else repr(value)
    elif not value or value.isspace():
        return None
    if len(value) > LONGEST_ID:
        wrong.append(f"{field} has {len(value)} characters, the most is {LONGEST_ID}")
        return None
    return value


def _name(message: Mapping[str, Any], kind: str, wrong: list[str]) -> str | None:
    """Return a track's event, or a page's or screen's name."""
    if kind == "track":
        event = message.get("event")
        if not isinstance(event, str) or not event or event.isspace():
            wrong.append(f"a track needs event, a string that isn't empty, this is {_shown(event)}")
            return None
        if len(event) > LONGEST_NAME:
            wrong.append(f"event has {len(event)} characters, the most is {LONGEST_NAME}")
        return event
    if kind in _NAMED:
        name = message.get("name")
        return name[:LONGEST_NAME] if isinstance(name, str) else None
    return None


def _links(message: Mapping[str, Any], kind: str, user_id: str | None, wrong: list[str]) -> str | None:
    """Hold what alias and group need beyond a person; return alias's previousId."""
    if kind == "group" and _id(message, "groupId", wrong) is None:
        wrong.append("a group needs groupId")
    if kind != "alias":
        return None
    previous = _id(message, "previousId", wrong)
    if previous is None:
        wrong.append("an alias needs previousId")
    if user_id is None:
        wrong.append("an alias needs userId")
    return previous


def contact(message: Mapping[str, Any], kind: str) -> tuple[str | None, str | None, str | None]:
    """Find email, phone and country: in traits (of a person), else context.traits, else properties."""
    context = message.get("context")
    own = message.get("traits") if kind != "group" else None  # a group's traits are the company's
    shared = context.get("traits") if isinstance(context, dict) else None
    email = phone = country = None
    for place in (own, shared, message.get("properties")):
        if not place or not isinstance(place, dict):
            continue
        email = email or _address(place.get("email"))
        phone = phone or _phone(place.get("phone"))
        if country is None and place is not message.get("properties"):
            country = _country(place)
    return email, phone, country


def _address(value: object) -> str | None:
    return value if isinstance(value, str) and len(value) <= LONGEST_ID and value.strip() else None


def _phone(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and len(value) <= LONGEST_ID and value.strip() else None


def _country(traits: Mapping[str, Any]) -> str | None:
    address = traits.get("address")
    found = address.get("country") if isinstance(address, dict) else None
    found = found or traits.get("country")
    return found if isinstance(found, str) and len(found) <= LONGEST_ID and found.strip() else None


def _kind(value: object) -> str:
    if value is None:
        return "null"
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean"}
    return names.get(type(value), "a number")


def _shown(value: object) -> str:
    if value is None:
        return "missing"
    return repr(value[:50]) if isinstance(value, str) else _kind(value)
