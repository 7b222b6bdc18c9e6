"""From operations to requests. Pure: the same operation is always the same bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from streams.klaviyo.budgets import EVENT_BULK, EVENT_SINGLE, PROFILE_IMPORT
from streams.segment.envelope import Profile

BULK_ROWS: Final = 1000
BULK_BYTES: Final = 5_000_000
_FIRST: Final = -62_135_596_800_000
_LAST: Final = 253_402_300_799_999
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BULK_HEAD: Final = b'{"data":{"type":"event-bulk-create-job","attributes":{"events-bulk-create":{"data":['
_BULK_TAIL: Final = b"]}}}}"
_GROUP_HEAD: Final = b'{"type":"event-bulk-create","attributes":{"profile":'
_GROUP_MIDDLE: Final = b',"events":{"data":['
_GROUP_TAIL: Final = b"]}}}"
GROUP_BYTES: Final = len(_GROUP_HEAD) + len(_GROUP_MIDDLE) + len(_GROUP_TAIL) + 1
ENVELOPE_BYTES: Final = len(_BULK_HEAD) + len(_BULK_TAIL)


@dataclass(frozen=True, slots=True)
class Request:
    """One call. ``layout`` has, for each element of the body's array, the rows in it, in order."""

    method: str
    path: str
    body: bytes
    budget: str
    layout: tuple[tuple[int, ...], ...] = ()
    query: str = ""
    bulk: bool = False
    asks: bool = False
    """A question: its answer is read, and ends no row."""
    names: bool = False
    """It names a profile or a job that may be gone: a 404 is about that, not about the endpoint."""
    whole: bool = False
    """All its rows ask the same: fewer of them would be answered no differently."""


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event ready to send, both parts as JSON: whose it is, and the event's attributes."""

    profile: bytes
    event: bytes


def iso(time_ms: int) -> str:
    """ISO 8601 with three fractional digits: more of them were refused once; at most what a date can say."""
    return (_EPOCH + timedelta(milliseconds=min(max(time_ms, _FIRST), _LAST))).isoformat(
        timespec="milliseconds"
    )


def identifiers(profile: Profile) -> dict[str, str]:
    """What Klaviyo knows a person by; profile-import takes all but ``anonymous_id``."""
    given = {
        "email": profile["email"],
        "phone_number": profile["phone"],
        "external_id": profile["user_id"],
        "anonymous_id": profile["anonymous_ids"][-1] if profile["anonymous_ids"] else None,
    }
    return {name: value for name, value in given.items() if value}


def event_row(
    who: dict[str, str], payload: dict[str, Any], op_id: str, time_ms: int, backfill: bool
) -> EventRow:
    """One event for a person known by ``who``; identifiers only, traits go by profile-import."""
    attributes: dict[str, Any] = {
        "properties": payload.get("properties") or {},
        "time": iso(time_ms),
        "unique_id": op_id,
        "metric": {"data": {"type": "metric", "attributes": {"name": payload["metric"]}}},
    }
    for name in ("value", "value_currency"):
        if payload.get(name) is not None:
            attributes[name] = payload[name]
    if backfill:
        attributes["backfill"] = True
    return EventRow(_profile(who), _exact(orjson.dumps(attributes)))


def addressed(row: EventRow, now: Mapping[str, str]) -> EventRow:
    """The same event for the same person, of whose identifiers some are others ``now``."""
    who = orjson.loads(row.profile)["data"]["attributes"]
    return EventRow(_profile({name: now.get(name, text) for name, text in who.items()}), row.event)


def _profile(who: dict[str, str]) -> bytes:
    return _exact(orjson.dumps({"data": {"type": "profile", "attributes": who}}))


def _exact(data: bytes) -> bytes:
    """The same bytes in no more memory than they need: orjson's own keep kilobytes around them."""
    return bytes(memoryview(data))


def single_event(row: EventRow) -> Request:
    """POST /api/events: kept once per profile, metric and unique_id."""
    event = row.event[:-1]
    body = b'{"data":{"type":"event","attributes":' + event + b',"profile":' + row.profile + b"}}}"
    return Request("POST", "/api/events", body, EVENT_SINGLE, ((0,),))


def bulk_events(rows: Sequence[EventRow]) -> Request:
    """POST /api/event-bulk-create-jobs; rows of a person that stand together become one element.

    The caller keeps within ``BULK_ROWS`` and, by ``bulk_size``, within ``BULK_BYTES``.
    """
    groups: list[bytes] = []
    layout: list[tuple[int, ...]] = []
    start = 0
    for end in range(1, len(rows) + 1):
        if end < len(rows) and rows[end].profile == rows[start].profile:
            continue
        events = b",".join(b'{"type":"event","attributes":' + row.event + b"}" for row in rows[start:end])
        groups.append(_GROUP_HEAD + rows[start].profile + _GROUP_MIDDLE + events + _GROUP_TAIL)
        layout.append(tuple(range(start, end)))
        start = end
    body = _BULK_HEAD + b",".join(groups) + _BULK_TAIL
    return Request("POST", "/api/event-bulk-create-jobs", body, EVENT_BULK, tuple(layout), bulk=True)


def bulk_size(row: EventRow) -> int:
    """The most bytes that a row adds to a bulk body."""
    return GROUP_BYTES + len(row.profile) + len(row.event) + 32


def profile_import(
    who: dict[str, str], attributes: dict[str, Any], patch: dict[str, Any] | None = None
) -> Request:
    """POST /api/profile-import: creates or updates; null clears a field, an absent one stays.

    Args:
        who: identifiers; an anonymous id is left out, the call does not take it.
        attributes: Klaviyo's profile attributes without identifiers.
        patch: ``append``, ``unappend`` and ``unset`` for custom properties.
    """
    known = {name: value for name, value in who.items() if name != "anonymous_id"}
    data: dict[str, Any] = {"type": "profile", "attributes": known | attributes}
    if patch:
        data["meta"] = {"patch_properties": patch}
    return Request("POST", "/api/profile-import", orjson.dumps({"data": data}), PROFILE_IMPORT, ((0,),))
