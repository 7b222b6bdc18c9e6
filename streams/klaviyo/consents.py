"""Consent: subscribe, unsubscribe, suppress, unsuppress."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import orjson

from streams.klaviyo.budgets import SUBSCRIBE, SUPPRESS, UNSUBSCRIBE, UNSUPPRESS
from streams.klaviyo.requests import BULK_BYTES, ENVELOPE_BYTES, Request

T = TypeVar("T")
SUBSCRIBED: Final = 1000
"""Profiles in one call that subscribes."""
OTHERS: Final = 100
"""Profiles in one call that unsubscribes, suppresses or unsuppresses."""
_HEAD_BYTES: Final = 10_000
"""Room for what a call says beside its people: a list, a custom source."""
KINDS: Final[Mapping[str, frozenset[str]]] = {
    "email": frozenset({"marketing"}),
    "sms": frozenset({"marketing", "transactional"}),
    "whatsapp": frozenset({"marketing", "transactional"}),
}
"""Channel → what may be agreed to; push needs a device's token, which no operation carries."""
NEEDS: Final[Mapping[str, str]] = {"email": "email", "sms": "phone_number", "whatsapp": "phone_number"}
"""Channel → the identifier it needs."""


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a call is about: identifiers of the channels it is for, and these as ``channel.kind``."""

    who: Mapping[str, str]
    parts: tuple[str, ...]
    consented_at: str | None = None
    """ISO 8601, with ``historical`` only."""


def subscribe(
    people: Sequence[Person], *, list_id: str = "", historical: bool = False, custom_source: str = ""
) -> Request:
    """POST /api/profile-subscription-bulk-create-jobs: 202, no body. Lifts suppressions."""
    attributes: dict[str, Any] = {}
    if historical:
        attributes["historical_import"] = True
    if custom_source:
        attributes["custom_source"] = custom_source
    return _subscription("create", SUBSCRIBE, "SUBSCRIBED", people, attributes, list_id)


def calls(rows: Sequence[T], person: Callable[[T], Person]) -> list[list[T]]:
    """Rows in parts that one call may subscribe: by number, and by the bytes that they take."""
    parts: list[list[T]] = []
    left = 0
    for row in rows:
        size = len(orjson.dumps(_profile(person(row), "SUBSCRIBED"))) + 1
        if not parts or left < size or len(parts[-1]) == SUBSCRIBED:
            parts.append([])
            left = BULK_BYTES - ENVELOPE_BYTES - _HEAD_BYTES
        parts[-1].append(row)
        left -= size
    return parts


def unsubscribe(people: Sequence[Person], *, list_id: str = "") -> Request:
    """POST /api/profile-subscription-bulk-delete-jobs: 202, no body.

    With a list, who is not on it is unsubscribed from everything: ask first.
    """
    return _subscription("delete", UNSUBSCRIBE, "UNSUBSCRIBED", people, {}, list_id)


def _subscription(
    verb: str,
    budget: str,
    consent: str,
    people: Sequence[Person],
    attributes: dict[str, Any],
    list_id: str,
) -> Request:
    kind = f"profile-subscription-bulk-{verb}-job"
    attributes["profiles"] = {"data": [_profile(person, consent) for person in people]}
    data: dict[str, Any] = {"type": kind, "attributes": attributes}
    if list_id:
        data["relationships"] = {"list": {"data": {"type": "list", "id": list_id}}}
    return _request(kind, budget, data, len(people))


def _profile(person: Person, consent: str) -> dict[str, Any]:
    subscriptions: dict[str, dict[str, Any]] = {}
    for part in person.parts:
        channel, _, kind = part.partition(".")
        said = {"consent": consent}
        if person.consented_at:
            said["consented_at"] = person.consented_at
        subscriptions.setdefault(channel, {})[kind] = said
    return {"type": "profile", "attributes": {**person.who, "subscriptions": subscriptions}}


def suppress(emails: Sequence[str]) -> Request:
    """POST /api/profile-suppression-bulk-create-jobs: 202 and a job whose status says little."""
    return _suppression("create", SUPPRESS, emails)


def unsuppress(emails: Sequence[str]) -> Request:
    """POST /api/profile-suppression-bulk-delete-jobs: lifts what was suppressed by a user only."""
    return _suppression("delete", UNSUPPRESS, emails)


def _suppression(verb: str, budget: str, emails: Sequence[str]) -> Request:
    kind = f"profile-suppression-bulk-{verb}-job"
    rows = [{"type": "profile", "attributes": {"email": email}} for email in emails]
    return _request(kind, budget, {"type": kind, "attributes": {"profiles": {"data": rows}}}, len(emails))


def _request(kind: str, budget: str, data: dict[str, Any], count: int) -> Request:
    layout = tuple((number,) for number in range(count))
    return Request("POST", f"/api/{kind}s", orjson.dumps({"data": data}), budget, layout, bulk=True)
