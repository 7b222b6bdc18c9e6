"""Suppress and unsuppress, merge, erase."""

from __future__ import annotations

from typing import Any

from streams.simulators.control import Reply
from streams.simulators.klaviyo import identity, import_calls, resources, shapes
from streams.simulators.klaviyo.context import Context, checked, refuse_struck, struck_rows
from streams.simulators.klaviyo.errors import Problem, Refused, document
from streams.simulators.klaviyo.store import Job, Profile

_MOST_BYTES = 5_000_000
_SUPPRESS = "profile-suppression-bulk-create-job"
_UNSUPPRESS = "profile-suppression-bulk-delete-job"
_REASON = "USER_SUPPRESSED"


def suppress(ctx: Context) -> Reply:
    """POST /api/profile-suppression-bulk-create-jobs: 202 and the job; makes missing profiles."""
    return _suppression(ctx, "create")


def unsuppress(ctx: Context) -> Reply:
    """POST /api/profile-suppression-bulk-delete-jobs: 202 and the job; lifts USER_SUPPRESSED only."""
    return _suppression(ctx, "delete")


def _suppression(ctx: Context, action: str) -> Reply:
    body, problems = checked(ctx, shapes.suppression_job(action), _MOST_BYTES)
    if problems:
        raise Refused(*problems)
    data = body["data"]
    rows = (data["attributes"].get("profiles") or {}).get("data") or []
    reference = ((data.get("relationships") or {}).get("list") or {}).get("data")
    known = resources.known_list(ctx, reference["id"]) if reference else None
    if not rows and not data.get("relationships"):
        raise Refused(Problem("Either profiles, or a list or segment is required.", "/data/attributes"))
    emails = [row["attributes"]["email"].lower() for row in rows]
    struck = struck_rows(ctx.call.error_rows, emails)
    refuse_struck(struck, "/data/attributes/profiles/data")
    members = list(known.members) if known else []
    work = [] if ctx.call.drop else [email for index, email in enumerate(emails) if index not in struck]

    def run(job: Job) -> None:
        for email in work:
            profile = _of_email(ctx, email, job.created, make=action == "create")
            _apply(profile, action, job)
        for profile_id in () if ctx.call.drop else members:
            _apply(ctx.account.profiles.get(profile_id), action, job)

    total = len(emails) + len(members)
    job = ctx.account.add_job(data["type"], ctx.now, ctx.config.job_delay_s, total, run)
    job.lists = (known.id,) if known else ()
    reply = document(202, resources.one(resources.job(job, ctx)))
    reply.recorded = len(work)
    return reply


def _of_email(ctx: Context, email: str, at: float, *, make: bool) -> Profile | None:
    profile_id = ctx.account.found["email"].get(email)
    if profile_id is not None:
        return ctx.account.profiles[profile_id]
    return identity.of_event(ctx.account, {"attributes": {"email": email}}, at, "") if make else None


def _apply(profile: Profile | None, action: str, job: Job) -> None:
    if profile is None or (_REASON in profile.suppressions) == (action == "create"):
        job.skipped += 1
    elif action == "create":
        profile.suppressions[_REASON] = job.created
    else:
        del profile.suppressions[_REASON]


def get_suppressions(ctx: Context) -> Reply:
    """GET /api/profile-suppression-bulk-create-jobs."""
    return import_calls.job_page(ctx, _SUPPRESS, "created")


def get_unsuppressions(ctx: Context) -> Reply:
    """GET /api/profile-suppression-bulk-delete-jobs."""
    return import_calls.job_page(ctx, _UNSUPPRESS, "created")


def get_suppression(ctx: Context) -> Reply:
    """GET /api/profile-suppression-bulk-create-jobs/{id}."""
    return document(200, resources.one(resources.job(import_calls.known_job(ctx, _SUPPRESS), ctx)))


def get_unsuppression(ctx: Context) -> Reply:
    """GET /api/profile-suppression-bulk-delete-jobs/{id}."""
    return document(200, resources.one(resources.job(import_calls.known_job(ctx, _UNSUPPRESS), ctx)))


def merge(ctx: Context) -> Reply:
    """POST /api/profile-merge: 201; the source goes later, its events and identifiers to the destination."""
    body, problems = checked(ctx, shapes.PROFILE_MERGE, _MOST_BYTES)
    if problems:
        raise Refused(*problems)
    target = resources.known_profile(ctx, body["data"]["id"])
    source = resources.known_profile(ctx, body["data"]["relationships"]["profiles"]["data"][0]["id"])
    if source.id == target.id:
        raise Refused(
            Problem("A profile cannot be merged into itself.", "/data/relationships/profiles/data/0/id")
        )

    def run(job: Job) -> None:
        alive = ctx.account.profiles
        if source.id in alive and target.id in alive and not ctx.call.drop:
            identity.absorb(ctx.account, source, target)
            job.profiles = [target.id]

    ctx.account.add_job("profile-merge", ctx.now, ctx.config.job_delay_s, 1, run)
    own = f"{ctx.host}/api/profiles/{target.id}/"
    shown: dict[str, Any] = {"type": "profile", "id": target.id, "links": {"self": own}}
    reply = document(201, resources.one(shown))
    reply.recorded = 0 if ctx.call.drop else 1
    return reply


def erase(ctx: Context) -> Reply:
    """POST /api/data-privacy-deletion-jobs: 202; exactly one identifier, and no status to ask for."""
    body, problems = checked(ctx, shapes.ERASE, _MOST_BYTES)
    if problems:
        raise Refused(*problems)
    resource = body["data"]["attributes"]["profile"]["data"]
    named = identity.identifiers(resource)
    if len(named) != 1:
        where = "/data/attributes/profile/data"
        raise Refused(Problem("Exactly one of id, email or phone_number is required.", where))
    ((kind, value),) = named.items()

    def run(_job: Job) -> None:
        profile_id = value if kind == "id" else ctx.account.found[kind].get(value)
        profile = ctx.account.profiles.get(profile_id or "")
        if profile is not None and not ctx.call.drop:
            ctx.account.erase(profile)
            identity.forget(ctx.account, profile)

    ctx.account.add_job("data-privacy-deletion-job", ctx.now, ctx.config.job_delay_s, 1, run)
    return Reply(202, recorded=0 if ctx.call.drop else 1)
