"""create_or_update_profile, create_profile, update_profile."""

from __future__ import annotations

from typing import Any

from streams.simulators.control import Reply
from streams.simulators.klaviyo import identity, resources, shapes
from streams.simulators.klaviyo.context import (
    PHONE_FAILED,
    Context,
    checked,
    refuse_struck,
    struck_rows,
    without_phone,
)
from streams.simulators.klaviyo.errors import Problem, Refused, document
from streams.simulators.klaviyo.schema import Spec
from streams.simulators.klaviyo.store import Profile

_MOST_BYTES = 100_000
_EXISTS = "A profile already exists with one of these identifiers."


def _read(ctx: Context, spec: Spec) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the profile resource and the headers of a partial failure."""
    body, problems = checked(ctx, spec, _MOST_BYTES)
    resource = body.get("data")
    headers: dict[str, str] = {}
    if isinstance(resource, dict) and without_phone(resource, problems, "/data"):
        headers = dict(PHONE_FAILED)
    if problems or not isinstance(resource, dict):
        raise Refused(*problems)
    struck = struck_rows(ctx.call.error_rows, [resource["attributes"].get("email")])
    refuse_struck(struck, "/data", single=True)
    return resource, headers


def _need_identifier(named: identity.Identifiers) -> None:
    if not named:
        raise Refused(Problem("At least one profile identifier is required.", "/data/attributes"))


def _shown(ctx: Context, profile: Profile, status: int, headers: dict[str, str]) -> Reply:
    reply = document(status, resources.one(resources.profile(profile, ctx)))
    reply.headers |= headers
    reply.recorded = 0 if ctx.call.drop else 1
    return reply


def import_profile(ctx: Context) -> Reply:
    """POST /api/profile-import: 201 made, 200 updated; null clears, absent leaves."""
    resource, headers = _read(ctx, shapes.PROFILE_IMPORT)
    named = identity.identifiers(resource)
    _need_identifier(named)
    if "id" in named and named["id"] not in ctx.account.profiles:
        detail = f"A profile with id {named['id']} does not exist."
        raise Refused(Problem(detail, "/data/id", status=404))
    found = identity.matches(ctx.account, named, "/data")
    profile = identity.same_person(found, named)
    other = identity.conflict(found, profile)
    if other is not None:
        _refuse_duplicate(other, ctx.config.conflict_status)
    created = profile is None
    if profile is None:
        profile = ctx.account.new_profile(ctx.now)
    if ctx.call.drop:
        if created:
            identity.forget(ctx.account, profile)
        return _shown(ctx, profile, 201 if created else 200, headers)
    identity.write(ctx.account, profile, resource["attributes"], ctx.now)
    identity.patch(profile, resource.get("meta"))
    return _shown(ctx, profile, 201 if created else 200, headers)


def create_profile(ctx: Context) -> Reply:
    """POST /api/profiles: 201, or 409 with the profile that has an identifier."""
    resource, headers = _read(ctx, shapes.PROFILE_CREATE)
    named = identity.identifiers(resource)
    _need_identifier(named)
    for known in identity.matches(ctx.account, named, "/data").values():
        _refuse_duplicate(known.id, 409)
    profile = ctx.account.new_profile(ctx.now)
    if ctx.call.drop:
        identity.forget(ctx.account, profile)
    else:
        identity.write(ctx.account, profile, resource["attributes"], ctx.now)
    return _shown(ctx, profile, 201, headers)


def update_profile(ctx: Context) -> Reply:
    """PATCH /api/profiles/{id}: 200; an identifier that is another's is a 409."""
    resource, headers = _read(ctx, shapes.PROFILE_PATCH)
    if resource["id"] != ctx.ids[0]:
        raise Refused(Problem("The id in the body must be the id in the path.", "/data/id"))
    profile = resources.known_profile(ctx, ctx.ids[0])
    named = {kind: value for kind, value in identity.identifiers(resource).items() if kind != "id"}
    for known in identity.matches(ctx.account, named, "/data").values():
        if known.id != profile.id:
            _refuse_duplicate(known.id, 409)
    if not ctx.call.drop:
        identity.write(ctx.account, profile, resource["attributes"], ctx.now)
        identity.patch(profile, resource.get("meta"))
    return _shown(ctx, profile, 200, headers)


def _refuse_duplicate(profile_id: str, status: int) -> None:
    meta = {"duplicate_profile_id": profile_id}
    raise Refused(Problem(_EXISTS, "/data/attributes", status=status, code="duplicate_profile", meta=meta))
