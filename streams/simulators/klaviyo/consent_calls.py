"""Subscribe and unsubscribe: consent per channel and kind, in jobs without a status endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from streams.simulators.control import Reply
from streams.simulators.klaviyo import identity, resources, rules, shapes
from streams.simulators.klaviyo.context import (
    PHONE_FAILED,
    Context,
    checked,
    refuse_struck,
    struck_rows,
)
from streams.simulators.klaviyo.errors import Problem, Refused
from streams.simulators.klaviyo.schema import Spec
from streams.simulators.klaviyo.store import Consent, Job, MemberList, Profile

_MOST_BYTES = 5_000_000
_ROWS = "/data/attributes/profiles/data"
_LIFTED = ("UNSUBSCRIBE", "SPAM_REPORT", "USER_SUPPRESSED")
_NEEDS = {"email": "email", "sms": "phone_number", "whatsapp": "phone_number"}
_REGION = "Phone number is valid but is not in a supported region for this account."
Part = tuple[str, str, dict[str, Any]]
"""Channel, kind, and what is asked of it."""


def subscribe(ctx: Context) -> Reply:
    """POST /api/profile-subscription-bulk-create-jobs: 202; at most 1000 profiles."""
    body, rows, failed = _read(ctx, shapes.SUBSCRIBE)
    attributes = body["data"]["attributes"]
    historical = bool(attributes.get("historical_import"))
    problems: list[Problem] = []
    for index, row in enumerate(rows):
        _check_row(ctx, row, f"{_ROWS}/{index}", problems, historical=historical)
    joined = _list_of(ctx, body)
    if problems:
        raise Refused(*problems)
    return _queue(ctx, body, failed, lambda row, at: _subscribe(ctx, row, body, joined, at))


def unsubscribe(ctx: Context) -> Reply:
    """POST /api/profile-subscription-bulk-delete-jobs: 202; at most 100 profiles."""
    body, rows, failed = _read(ctx, shapes.UNSUBSCRIBE)
    problems: list[Problem] = []
    for index, row in enumerate(rows):
        _check_row(ctx, row, f"{_ROWS}/{index}", problems, historical=None)
    left = _list_of(ctx, body)
    if problems:
        raise Refused(*problems)
    return _queue(ctx, body, failed, lambda row, at: _unsubscribe(ctx, row, left, at))


def _read(ctx: Context, spec: Spec) -> tuple[dict[str, Any], list[dict[str, Any]], bool]:
    body, problems = checked(ctx, spec, _MOST_BYTES)
    failed = False
    kept = []
    for problem in problems:
        parts = (problem.pointer or "").removeprefix(_ROWS + "/").split("/")
        if parts[1:] == ["attributes", "phone_number"]:
            attributes = body["data"]["attributes"]["profiles"]["data"][int(parts[0])]["attributes"]
            if attributes.get("email") and isinstance(attributes["phone_number"], str):
                del attributes["phone_number"]
                for channel in ("sms", "whatsapp"):
                    (attributes.get("subscriptions") or {}).pop(channel, None)
                failed = True
                continue
        kept.append(problem)
    if kept:
        raise Refused(*kept)
    return body, body["data"]["attributes"]["profiles"]["data"], failed


def _parts(row: dict[str, Any]) -> Iterator[Part]:
    for channel, kinds in row["attributes"]["subscriptions"].items():
        for kind, asked in (kinds or {}).items():
            if isinstance(asked, dict) and "consent" in asked:
                yield channel, kind, asked


def _check_row(
    ctx: Context, row: dict[str, Any], at: str, problems: list[Problem], *, historical: bool | None
) -> None:
    attributes = row["attributes"]
    if row.get("id") and row["id"] not in ctx.account.profiles:
        problems.append(Problem(f"A profile with id {row['id']} does not exist.", f"{at}/id"))
    if not any(attributes.get(kind) for kind in ("email", "phone_number")) and not row.get("id"):
        problems.append(Problem("An email or phone_number is required.", f"{at}/attributes"))
    phone = attributes.get("phone_number")
    if phone and historical is not None and not phone.startswith(ctx.config.sms_regions):
        problems.append(Problem(_REGION, f"{at}/attributes/phone_number"))
    for channel, kind, asked in _parts(row):
        need = _NEEDS.get(channel)
        where = f"{at}/attributes/subscriptions/{channel}/{kind}"
        if need and not attributes.get(need) and not row.get("id"):
            problems.append(Problem(f"'{need}' is required for the channel '{channel}'.", where))
        if historical is not None:
            wrong = _wrong_consent_time(ctx, row, (channel, kind, asked), historical=historical)
            if wrong:
                problems.append(Problem(wrong, f"{where}/consented_at"))


def _wrong_consent_time(ctx: Context, row: dict[str, Any], part: Part, *, historical: bool) -> str | None:
    channel, kind, asked = part
    text = asked.get("consented_at")
    if not historical:
        return "consented_at is only valid with historical_import." if text else None
    moment = rules.parse_time(text) if text else None
    if moment is None:
        return "consented_at is required with historical_import."
    if moment.timestamp() > ctx.now:
        return "consented_at must be in the past."
    known = _known(ctx, row)
    has = known.consent.get((channel, kind)) if known else None
    if has and has.state == "UNSUBSCRIBED" and has.at > moment.timestamp():
        return "The profile unsubscribed after the given consented_at."
    return None


def _known(ctx: Context, row: dict[str, Any]) -> Profile | None:
    named = identity.identifiers(row)
    try:
        return identity.same_person(identity.matches(ctx.account, named, ""), named)
    except Refused:
        return None


def _list_of(ctx: Context, body: dict[str, Any]) -> MemberList | None:
    reference = ((body["data"].get("relationships") or {}).get("list") or {}).get("data")
    if reference is None:
        return None
    return resources.known_list(ctx, reference["id"], "/data/relationships/list/data/id")


def _queue(
    ctx: Context, body: dict[str, Any], failed: bool, apply: Callable[[dict[str, Any], float], None]
) -> Reply:
    rows = body["data"]["attributes"]["profiles"]["data"]
    emails = [row["attributes"].get("email") for row in rows]
    struck = struck_rows(ctx.call.error_rows, emails)
    refuse_struck(struck, _ROWS)
    fakes = [bool(email) and ctx.config.drop_fake_emails and rules.is_fake(email) for email in emails]
    work = [row for index, row in enumerate(rows) if index not in struck and not fakes[index]]
    if ctx.call.drop:
        work = []

    def run(job: Job) -> None:
        for row in work:
            apply(row, job.created)

    ctx.account.add_job(body["data"]["type"], ctx.now, ctx.config.job_delay_s, len(rows), run)
    return Reply(202, headers=dict(PHONE_FAILED) if failed else {}, recorded=len(work))


def _subscribe(
    ctx: Context, row: dict[str, Any], body: dict[str, Any], joined: MemberList | None, at: float
) -> None:
    asked = body["data"]["attributes"]
    opt_in = joined.opt_in_process if joined else ctx.config.default_opt_in
    if opt_in == "double_opt_in" and not asked.get("historical_import"):
        if joined is not None:
            who = row["attributes"].get("email") or row["attributes"].get("phone_number") or row.get("id")
            joined.pending.add(str(who))
        return
    profile = _profile(ctx, row, at)
    for channel, kind, part in _parts(row):
        moment = rules.parse_time(part["consented_at"]) if part.get("consented_at") else None
        since = moment.timestamp() if moment else at
        profile.consent[(channel, kind)] = Consent("SUBSCRIBED", since, at, asked.get("custom_source"))
        if (channel, kind) == ("email", "marketing"):
            for reason in _LIFTED:
                profile.suppressions.pop(reason, None)
    if joined is not None:
        joined.members.setdefault(profile.id, at)


def _unsubscribe(ctx: Context, row: dict[str, Any], left: MemberList | None, at: float) -> None:
    profile = _profile(ctx, row, at)
    if left is not None and profile.id in left.members:
        left.members.pop(profile.id)
        return
    for channel, kind, _ in _parts(row):
        profile.consent[(channel, kind)] = Consent("UNSUBSCRIBED", at, at)
        if (channel, kind) == ("email", "marketing"):
            profile.suppressions["UNSUBSCRIBE"] = at


def _profile(ctx: Context, row: dict[str, Any], at: float) -> Profile:
    """Return the row's profile, made if there is none; a merged or erased id falls to the addresses."""
    named = {
        name: row["attributes"][name] for name in ("email", "phone_number") if row["attributes"].get(name)
    }
    resource: dict[str, Any] = {"attributes": named}
    if row.get("id") in ctx.account.profiles:
        resource["id"] = row["id"]
    return identity.of_event(ctx.account, resource, at, "")
