"""Which profile a call means, and what it writes there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from streams.simulators.klaviyo.errors import Problem, Refused
from streams.simulators.klaviyo.store import IDENTIFIERS, Account, Profile

_OTHER_FIELDS = ("first_name", "last_name", "organization", "locale", "title", "image")
Identifiers = dict[str, str]


def identifiers(resource: Mapping[str, Any]) -> Identifiers:
    """Return the identifiers a profile resource names; e-mail addresses in lower case."""
    attributes = resource.get("attributes") or {}
    named: Identifiers = {}
    if resource.get("id"):
        named["id"] = resource["id"]
    for kind in (*IDENTIFIERS, "_kx"):
        value = attributes.get(kind)
        if value:
            named[kind] = value.lower() if kind == "email" else value
    return named


def matches(account: Account, named: Identifiers, at: str) -> dict[str, Profile]:
    """Return the profile of each identifier that has one; an unknown id or `_kx` is refused."""
    found: dict[str, Profile] = {}
    if "id" in named:
        profile = account.profiles.get(named["id"])
        if profile is None:
            detail = f"A profile with id {named['id']} does not exist."
            raise Refused(Problem(detail, f"{at}/id", status=400))
        found["id"] = profile
    if "_kx" in named:
        profile = account.profiles.get(named["_kx"].removeprefix("kx."))
        if profile is None:
            raise Refused(Problem("Invalid or expired _kx.", f"{at}/attributes/_kx"))
        found["_kx"] = profile
    for kind in IDENTIFIERS:
        if kind in named:
            profile_id = account.found[kind].get(named[kind])
            if profile_id is not None:
                found[kind] = account.profiles[profile_id]
    return found


def same_person(found: dict[str, Profile], named: Identifiers) -> Profile | None:
    """Return the profile that is meant: found by the strongest identifier.

    One known by an anonymous id alone is somebody else when it already has another address or name
    of the same kind: a shared device.
    """
    for kind in ("id", "_kx", *IDENTIFIERS):
        profile = found.get(kind)
        if profile is None:
            continue
        taken = (profile.attributes.get(other) for other in IDENTIFIERS[:-1] if other in named)
        if kind == "anonymous_id" and any(taken):
            return None
        return profile
    return None


def conflict(found: dict[str, Profile], meant: Profile | None) -> str | None:
    """Return the id of a second profile that the strong identifiers point to."""
    for kind in ("_kx", *IDENTIFIERS[:-1]):
        other = found.get(kind)
        if meant is not None and other is not None and other.id != meant.id:
            return other.id
    return None


def of_event(account: Account, resource: Mapping[str, Any], at: float, pointer: str) -> Profile:
    """Return an event's profile, made or filled in; identifiers of others stay where they are."""
    named = identifiers(resource)
    found = matches(account, named, pointer)
    profile = same_person(found, named) or account.new_profile(at)
    stray = found.get("anonymous_id")
    if stray is not None and stray.id != profile.id and is_anonymous(stray):
        absorb(account, stray, profile)
    attributes = dict(resource.get("attributes") or {})
    meta = attributes.pop("meta", None) or resource.get("meta")
    for kind in IDENTIFIERS:
        if kind in named and found.get(kind, profile).id != profile.id:
            attributes.pop(kind, None)
    write(account, profile, attributes, at)
    patch(profile, meta)
    return profile


def is_anonymous(profile: Profile) -> bool:
    """Tell whether only a device is known of a profile."""
    return not any(profile.attributes.get(kind) for kind in IDENTIFIERS[:-1])


def write(
    account: Account, profile: Profile, attributes: Mapping[str, Any], at: float, nulls: bool = True
) -> None:
    """Write attributes; null clears a field where `nulls`, and an absent one stays."""
    for kind in IDENTIFIERS:
        if kind in attributes and (attributes[kind] or nulls):
            _identify(account, profile, kind, attributes[kind])
    for name in _OTHER_FIELDS:
        if name in attributes and (nulls or attributes[name] is not None):
            profile.attributes[name] = attributes[name]
    if attributes.get("location"):
        profile.location.update(attributes["location"])
    if attributes.get("properties"):
        profile.properties.update(attributes["properties"])
    if attributes:
        profile.updated = at


def _identify(account: Account, profile: Profile, kind: str, value: str | None) -> None:
    index = account.found[kind]
    if kind == "anonymous_id":
        if value:
            profile.anonymous_ids.add(value)
            index[value] = profile.id
        return
    if kind == "email" and value:
        value = value.lower()
    old = profile.attributes.get(kind)
    if old == value:
        return
    if old and index.get(old) == profile.id:
        del index[old]
    profile.attributes[kind] = value or None
    if value:
        index[value] = profile.id


def patch(profile: Profile, meta: Mapping[str, Any] | None) -> None:
    """Apply `patch_properties`: append, unappend, unset."""
    asked = (meta or {}).get("patch_properties") or {}
    for name, value in (asked.get("append") or {}).items():
        old = profile.properties.get(name)
        items = list(old) if isinstance(old, list) else [] if old is None else [old]
        profile.properties[name] = items + (value if isinstance(value, list) else [value])
    for name, value in (asked.get("unappend") or {}).items():
        gone = value if isinstance(value, list) else [value]
        old = profile.properties.get(name)
        if isinstance(old, list):
            profile.properties[name] = [item for item in old if item not in gone]
    unset = asked.get("unset") or []
    for name in [unset] if isinstance(unset, str) else unset:
        profile.properties.pop(name, None)


def absorb(account: Account, source: Profile, target: Profile) -> None:
    """Merge a profile into another: the target's own values win, the source ends."""
    forget(account, source)
    for name, value in source.attributes.items():
        if name in IDENTIFIERS and value:
            # A second address of the target: what comes for it from now on is the target's.
            account.found[name][value] = target.id
            target.aliases.add((name, value))
        if not target.attributes.get(name):
            target.attributes[name] = value
    for kind, value in source.aliases:
        account.found[kind].setdefault(value, target.id)
        target.aliases.add((kind, value))
    for anonymous_id in source.anonymous_ids:
        _identify(account, target, "anonymous_id", anonymous_id)
    target.properties = {**source.properties, **target.properties}
    target.location = {**source.location, **target.location}
    target.consent = {**source.consent, **target.consent}
    target.suppressions = {**source.suppressions, **target.suppressions}
    for joined in account.lists.values():
        if source.id in joined.members:
            joined.members.setdefault(target.id, joined.members.pop(source.id))
    for event in account.events_of.pop(source.id, []):
        event.profile_id = target.id
        account.events_of[target.id].append(event)
        account.unique.setdefault((target.id, event.metric_id, event.unique_id or str(event.time)), event)


def forget(account: Account, profile: Profile) -> None:
    """Take a profile out of the account; its events and memberships are the caller's to handle."""
    account.profiles.pop(profile.id, None)
    known = {(kind, value) for kind, value in profile.attributes.items() if kind in IDENTIFIERS and value}
    devices = {("anonymous_id", value) for value in profile.anonymous_ids}
    for kind, value in known | devices | profile.aliases:
        if account.found[kind].get(value) == profile.id:
            del account.found[kind][value]
