"""Lists, consent and erasure as the call that carries one profile alone. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from streams.klaviyo.requests import Request
from streams.segment.envelope import Profile

NEEDS: Final[Mapping[str, str]] = {"email": "email", "sms": "phone_number", "whatsapp": "phone_number"}
"""Channel → the identifier that Klaviyo knows a subscriber by; push is known by its tokens."""


def list_member(kind: str, list_: str, klaviyo_id: str) -> Request:
    """Add or remove one member; consent stays as it is."""
    method = "POST" if kind == "list_add" else "DELETE"
    path = f"/api/lists/{_quoted(list_)}/relationships/profiles"
    return _request(method, path, {"data": [{"type": "profile", "id": klaviyo_id}]}, "list/members")


def reachable(profile: Profile, channels: Iterable[str]) -> tuple[dict[str, str], list[str], list[str]]:
    """The identifiers that these channels need, the channels that can be addressed, those that can't."""
    known = {"email": profile["email"], "phone_number": profile["phone"]}
    who: dict[str, str] = {}
    good: list[str] = []
    bad: list[str] = []
    for channel in channels:
        needed = NEEDS.get(channel)
        value = known[needed] if needed else None
        (bad if needed and not value else good).append(channel)
        if needed and value:
            who[needed] = value
    return who, good, bad


def subscribe(
    who: Mapping[str, str],
    channels: Mapping[str, list[str]],
    *,
    list_: str | None = None,
    consented_at: str | None = None,
    custom_source: str | None = None,
) -> Request:
    """One subscriber; with ``consented_at`` (ISO 8601) as an import of consent given in the past."""
    given: dict[str, Any] = {"consent": "SUBSCRIBED"}
    if consented_at:
        given["consented_at"] = consented_at
    attributes: dict[str, Any] = {}
    if custom_source:
        attributes["custom_source"] = custom_source
    if consented_at:
        attributes["historical_import"] = True
    attributes["profiles"] = _profiles(who, channels, given)
    return _consent("profile-subscription-bulk-create-job", attributes, list_, "subscribe")


def unsubscribe(
    who: Mapping[str, str], channels: Mapping[str, list[str]], *, list_: str | None = None
) -> Request:
    """One unsubscriber."""
    attributes = {"profiles": _profiles(who, channels, {"consent": "UNSUBSCRIBED"})}
    return _consent("profile-subscription-bulk-delete-job", attributes, list_, "unsubscribe")


def suppression(kind: str, email: str) -> Request:
    """Suppress or unsuppress one address."""
    word = "create" if kind == "suppress" else "delete"
    attributes = {"profiles": {"data": [{"type": "profile", "attributes": {"email": email}}]}}
    return _consent(f"profile-suppression-bulk-{word}-job", attributes, None, kind)


def erase(who: Mapping[str, str]) -> Request:
    """Erase a person by exactly one identifier: the address, else the number."""
    name = "email" if "email" in who else "phone_number"
    profile = {"data": {"type": "profile", "attributes": {name: who[name]}}}
    data = {"type": "data-privacy-deletion-job", "attributes": {"profile": profile}}
    return _request("POST", "/api/data-privacy-deletion-jobs", {"data": data}, "erase")


def _quoted(text: str) -> str:
    return "".join(
        chr(b) if (chr(b).isalnum() and b < 128) or b in b"-._~" else f"%{b:02X}" for b in text.encode()
    )


def _profiles(
    who: Mapping[str, str], channels: Mapping[str, list[str]], given: dict[str, Any]
) -> dict[str, Any]:
    subscriptions = {channel: dict.fromkeys(kinds, given) for channel, kinds in channels.items()}
    return {"data": [{"type": "profile", "attributes": {**who, "subscriptions": subscriptions}}]}


def _consent(type_: str, attributes: dict[str, Any], list_: str | None, budget: str) -> Request:
    data: dict[str, Any] = {"type": type_, "attributes": attributes}
    if list_:
        data["relationships"] = {"list": {"data": {"type": "list", "id": list_}}}
    return _request("POST", f"/api/{type_}s", {"data": data}, budget)


def _request(method: str, path: str, body: dict[str, Any], budget: str) -> Request:
    return Request(method, path, orjson.dumps(body), budget, ((0,),))
