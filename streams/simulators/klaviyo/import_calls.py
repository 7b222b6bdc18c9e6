"""Bulk profile import: one refusal for all at the door, failed rows in the job later."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import orjson

from streams.simulators.control import Reply
from streams.simulators.faults import ErrorRow
from streams.simulators.klaviyo import filters, identity, reads, resources, shapes
from streams.simulators.klaviyo.context import Context, checked, refuse_struck, struck_rows
from streams.simulators.klaviyo.errors import Problem, Refused, document
from streams.simulators.klaviyo.store import Job, Profile

_MOST_BYTES = 5_000_000
_MOST_PROFILE_BYTES = 100_000
_ROWS = "/data/attributes/profiles/data"
KIND = "profile-bulk-import-job"


def create_import(ctx: Context) -> Reply:
    """POST /api/profile-bulk-import-jobs: 202 and the job; at most 10,000 profiles."""
    body, problems = checked(ctx, shapes.PROFILE_IMPORT_JOB, _MOST_BYTES)
    rows = _rows(body)
    problems = [problem for problem in problems if not _dropped_phone(problem, rows)]
    if problems:
        raise Refused(*problems)
    for index, row in enumerate(rows):
        if not identity.identifiers(row):
            detail = "At least one profile identifier is required."
            problems.append(Problem(detail, f"{_ROWS}/{index}/attributes"))
        elif len(ctx.call.body) > _MOST_PROFILE_BYTES and len(orjson.dumps(row)) > _MOST_PROFILE_BYTES:
            problems.append(Problem("A profile cannot exceed 100KB.", f"{_ROWS}/{index}"))
    lists = ((body["data"].get("relationships") or {}).get("lists") or {}).get("data") or []
    for reference in lists:
        resources.known_list(ctx, reference["id"], "/data", status=400)
    if problems:
        raise Refused(*problems)
    struck = struck_rows(ctx.call.error_rows, [row["attributes"].get("email") for row in rows])
    refuse_struck(struck, _ROWS)
    reply = Reply(202, recorded=0 if ctx.call.drop else len(rows))
    work = [] if ctx.call.drop else rows

    def run(job: Job) -> None:
        _import(ctx, job, work, struck)

    job = ctx.account.add_job(KIND, ctx.now, ctx.config.job_delay_s, len(rows), run)
    job.lists = tuple(reference["id"] for reference in lists)
    made = document(202, resources.one(resources.job(job, ctx)))
    made.recorded = reply.recorded
    return made


def _rows(body: dict[str, Any]) -> list[dict[str, Any]]:
    value: Any = body
    for name in ("data", "attributes", "profiles", "data"):
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, list) else []


def _dropped_phone(problem: Problem, rows: list[dict[str, Any]]) -> bool:
    """Take an invalid phone number out of a row that has another identifier; no error tells of it."""
    parts = (problem.pointer or "").removeprefix(_ROWS + "/").split("/")
    if parts[1:] != ["attributes", "phone_number"]:
        return False
    attributes = rows[int(parts[0])]["attributes"]
    if not isinstance(attributes.get("phone_number"), str):
        return False
    if not any(attributes.get(kind) for kind in ("email", "external_id")):
        return False
    del attributes["phone_number"]
    return True


def _import(ctx: Context, job: Job, rows: list[dict[str, Any]], struck: Mapping[int, ErrorRow]) -> None:
    account, at = ctx.account, job.due
    for index, row in enumerate(rows):
        fault = struck.get(index)
        if fault is not None:
            _fail(job, index, row, fault.code, fault.detail)
            continue
        named = identity.identifiers(row)
        try:
            found = identity.matches(account, named, f"{_ROWS}/{index}")
        except Refused as refused:
            _fail(job, index, row, "invalid", refused.problems[0].detail)
            continue
        profile = identity.same_person(found, named)
        if identity.conflict(found, profile) is not None:
            _fail(job, index, row, "duplicate_profile", "Identifiers belong to different profiles.")
            continue
        profile = profile or account.new_profile(at)
        identity.write(account, profile, row["attributes"], at, nulls=False)
        identity.patch(profile, row.get("meta"))
        job.profiles.append(profile.id)
        for list_id in job.lists:
            if list_id in account.lists:
                account.lists[list_id].members.setdefault(profile.id, at)


def _fail(job: Job, index: int, row: dict[str, Any], code: str, detail: str) -> None:
    job.failed += 1
    source = {"pointer": f"{_ROWS}/{index}"}
    told = {"code": code, "title": "Invalid input.", "detail": detail, "source": source}
    job.errors.append({"id": str(uuid.uuid4()), **told, "original_payload": row})


def known_job(ctx: Context, kind: str) -> Job:
    """Return the path's job, or refuse with a 404."""
    job = ctx.account.jobs.get(ctx.ids[0])
    if job is None or job.kind != kind:
        raise Refused(Problem(f"A job with id {ctx.ids[0]} does not exist.", "/data/id", status=404))
    return job


def get_import(ctx: Context) -> Reply:
    """GET /api/profile-bulk-import-jobs/{id}."""
    return document(200, resources.one(resources.job(known_job(ctx, KIND), ctx)))


def get_imports(ctx: Context) -> Reply:
    """GET /api/profile-bulk-import-jobs."""
    return job_page(ctx, KIND, "created_at")


def job_page(ctx: Context, kind: str, sort: str) -> Reply:
    """Return a page of the jobs of one kind."""
    conditions = filters.parse(ctx.query.get("filter"), {"status": ("equals", "any"), "list_id": ("equals",)})
    size = reads.page_size(ctx, 20, 100)
    _, downward = reads.sort_of(ctx, f"-{sort}", (sort,))
    order = {key: number for number, key in enumerate(ctx.account.jobs)}

    def matches(job: Job, condition: filters.Condition) -> bool:
        return (
            condition.holds(job.status) if condition.field == "status" else condition.values[0] in job.lists
        )

    def shown(job: Job) -> resources.Resource:
        return resources.job(job, ctx)

    jobs = [job for job in ctx.account.jobs.values() if job.kind == kind]
    jobs = [job for job in jobs if all(matches(job, condition) for condition in conditions)]
    return reads.page(
        ctx, jobs, lambda job: (job.created, order[job.id]), shown, size=size, downward=downward
    )


def get_import_errors(ctx: Context) -> Reply:
    """GET /api/profile-bulk-import-jobs/{id}/import-errors."""
    job = known_job(ctx, KIND)
    size = reads.page_size(ctx, 20, 100)
    order = {error["id"]: number for number, error in enumerate(job.errors)}

    def shown(error: dict[str, Any]) -> dict[str, Any]:
        told = {name: value for name, value in error.items() if name != "id"}
        own = f"{ctx.host}/api/import-errors/{error['id']}/"
        return {"type": "import-error", "id": error["id"], "attributes": told, "links": {"self": own}}

    return reads.page(ctx, job.errors, lambda error: (0, order[error["id"]]), shown, size=size)


def get_import_profiles(ctx: Context) -> Reply:
    """GET /api/profile-bulk-import-jobs/{id}/profiles."""
    return reads.profile_page(ctx, _profiles(ctx), {})


def get_import_profile_ids(ctx: Context) -> Reply:
    """GET /api/profile-bulk-import-jobs/{id}/relationships/profiles."""
    return reads.profile_page(ctx, _profiles(ctx), {}, ids_only=True)


def _profiles(ctx: Context) -> list[Profile]:
    known = ctx.account.profiles
    return [known[key] for key in dict.fromkeys(known_job(ctx, KIND).profiles) if key in known]


def get_import_lists(ctx: Context) -> Reply:
    """GET /api/profile-bulk-import-jobs/{id}/lists."""
    known = [ctx.account.lists[key] for key in known_job(ctx, KIND).lists if key in ctx.account.lists]
    shown = [resources.member_list(row, ctx) for row in known]
    return document(200, {"data": shown, "links": {"self": f"{ctx.host}{ctx.call.path}"}})
