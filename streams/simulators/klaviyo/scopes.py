"""Which scopes of a private key each operation needs: specification 2026-07-15, ``x-klaviyo-scopes``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_PROFILES = ("profiles:write",)
_CONSENT = ("lists:write", "profiles:write", "subscriptions:write")
_MEMBERS = ("lists:write", "profiles:write")
_MEMBERS_READ = ("lists:read", "profiles:read")
_JOBS = ("subscriptions:read",)
SCOPES: Mapping[str, tuple[str, ...]] = {
    "event/single": ("events:write",),
    "event/bulk": ("events:write",),
    "events/get": ("events:read",),
    "event/get": ("events:read",),
    "metrics/get": ("metrics:read",),
    "accounts/get": ("accounts:read",),
    "webhooks/get": ("webhooks:read",),
    "profile/import": _PROFILES,
    "profile/create": _PROFILES,
    "profile/patch": _PROFILES,
    "profile/get": ("profiles:read",),
    "profile/get/one": ("profiles:read",),
    "profile/bulk": _MEMBERS,
    "profile/bulk/list": _MEMBERS_READ,
    "profile/bulk/get": _MEMBERS_READ,
    "profile/bulk/errors": ("profiles:read",),
    "profile/bulk/profiles": ("profiles:read",),
    "profile/bulk/profile-ids": ("profiles:read",),
    "profile/bulk/lists": ("lists:read",),
    "list/write": ("lists:write",),
    "list/get": ("lists:read",),
    "list/get/one": ("lists:read",),
    "list/get/profile-ids": _MEMBERS_READ,
    "list/get/profiles": _MEMBERS_READ,
    "list/members": _MEMBERS,
    "list/members/remove": _MEMBERS,
    "subscribe": _CONSENT,
    "unsubscribe": _CONSENT,
    "suppress": ("profiles:write", "subscriptions:write"),
    "suppress/list": _JOBS,
    "suppress/get": _JOBS,
    "unsuppress": ("subscriptions:write",),
    "unsuppress/list": _JOBS,
    "unsuppress/get": _JOBS,
    "merge": _PROFILES,
    "erase": ("data-privacy:write",),
}
"""Budget of the operation → all the scopes it needs."""


def missing(operation: str, given: Iterable[str] | None) -> list[str]:
    """Scopes that an operation needs and a key lacks; ``None`` = a key with full access."""
    return [] if given is None else sorted(set(SCOPES[operation]) - set(given))
