"""create_event and bulk_create_events."""

from __future__ import annotations

from typing import Any

from streams.simulators.control import Reply
from streams.simulators.klaviyo import identity, rules, shapes
from streams.simulators.klaviyo.context import (
    PHONE_FAILED,
    Context,
    checked,
    refuse_struck,
    struck_rows,
    without_phone,
    wrong_time,
)
from streams.simulators.klaviyo.errors import Problem, Refused
from streams.simulators.klaviyo.store import Account, Event, Profile

_MOST_BYTES = 5_000_000
_MOST_EVENTS = 1000
_ROWS = "/data/attributes/events-bulk-create/data"
_SAME_ID = "A unique_id is repeated for the same profile and metric."


def create_event(ctx: Context) -> Reply:
    """POST /api/events: 202; a repeated unique_id is taken and ignored."""
    body, problems = checked(ctx, shapes.single_event(ctx.revision), _MOST_BYTES)
    at = "/data/attributes/profile/data"
    resource = _profile_of(body)
    failed = resource is not None and without_phone(resource, problems, at)
    if problems or resource is None:
        raise Refused(*problems)
    attributes = body["data"]["attributes"]
    _check_identified(resource, at, problems)
    late = wrong_time(attributes.get("time"), ctx.now, "/data/attributes/time")
    problems += [late] if late else []
    if problems:
        raise Refused(*problems)
    identity.matches(ctx.account, identity.identifiers(resource), at)
    email = resource["attributes"].get("email")
    struck = struck_rows(ctx.call.error_rows, [email])
    refuse_struck(struck, at, single=True)
    reply = Reply(202, headers=dict(PHONE_FAILED) if failed else {})
    if not (ctx.call.drop or struck or _is_fake(ctx, email)):
        profile = identity.of_event(ctx.account, resource, ctx.now, at)
        reply.recorded = int(store_event(ctx.account, profile, attributes, ctx.now))
    return reply


def bulk_create_events(ctx: Context) -> Reply:
    """POST /api/event-bulk-create-jobs: every row is sound and new, or none is taken."""
    body, problems = checked(ctx, shapes.EVENT_BULK, _MOST_BYTES)
    if problems:
        raise Refused(*problems)
    groups = [row["attributes"] for row in body["data"]["attributes"]["events-bulk-create"]["data"]]
    total = sum(len(group["events"]["data"]) for group in groups)
    if total > _MOST_EVENTS:
        raise Refused(Problem(f"The request has {total} events; the limit is {_MOST_EVENTS}.", _ROWS))
    _check_rows(ctx, groups, problems)
    if problems:
        raise Refused(*problems)
    emails = [group["profile"]["data"]["attributes"].get("email") for group in groups]
    struck = struck_rows(ctx.call.error_rows, emails)
    refuse_struck(struck, _ROWS)
    reply = Reply(202)
    if ctx.call.drop:
        return reply
    for index, group in enumerate(groups):
        if index in struck or _is_fake(ctx, emails[index]):
            continue
        pointer = f"{_ROWS}/{index}/attributes/profile/data"
        profile = identity.of_event(ctx.account, group["profile"]["data"], ctx.now, pointer)
        for row in group["events"]["data"]:
            attributes = row["attributes"]
            backfill = bool(group.get("backfill"))
            reply.recorded += store_event(ctx.account, profile, attributes, ctx.now, backfill)
    return reply


def _check_rows(ctx: Context, groups: list[dict[str, Any]], problems: list[Problem]) -> None:
    seen: set[tuple[Any, ...]] = set()
    for index, group in enumerate(groups):
        at = f"{_ROWS}/{index}/attributes"
        resource = group["profile"]["data"]
        _check_identified(resource, f"{at}/profile/data", problems)
        named = identity.identifiers(resource)
        try:
            found = identity.matches(ctx.account, named, f"{at}/profile/data")
        except Refused as refused:
            problems += refused.problems
            continue
        known = identity.same_person(found, named)
        who = known.id if known else tuple(sorted(named.items()))
        for number, row in enumerate(group["events"]["data"]):
            attributes = row["attributes"]
            where = f"{at}/events/data/{number}/attributes"
            late = wrong_time(attributes.get("time"), ctx.now, f"{where}/time")
            if late:
                problems.append(late)
            unique_id = attributes.get("unique_id")
            if unique_id is None:
                continue
            metric = attributes["metric"]["data"]["attributes"]
            key = (who, metric["name"], metric.get("service"), unique_id)
            if key in seen or (_is_known(ctx, known, metric, unique_id)):
                problems.append(Problem(_SAME_ID, f"{where}/unique_id"))
            seen.add(key)


def _is_known(ctx: Context, profile: Profile | None, metric: dict[str, Any], unique_id: str) -> bool:
    if ctx.config.unique_id_mode == "per_request" or profile is None:
        return False
    metric_id = ctx.account.metric_id(metric["name"], metric.get("service") or "api")
    return metric_id is not None and (profile.id, metric_id, unique_id) in ctx.account.unique


def _check_identified(resource: dict[str, Any], at: str, problems: list[Problem]) -> None:
    if not identity.identifiers(resource):
        problems.append(Problem("At least one profile identifier is required.", f"{at}/attributes"))


def _is_fake(ctx: Context, email: str | None) -> bool:
    return ctx.config.drop_fake_emails and email is not None and rules.is_fake(email)


def _profile_of(body: dict[str, Any]) -> dict[str, Any] | None:
    value: Any = body
    for name in ("data", "attributes", "profile", "data"):
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else None


def store_event(
    account: Account, profile: Profile, attributes: dict[str, Any], now: float, backfill: bool = False
) -> bool:
    """Store one event, unless its id (or, without one, its second) is known; True when it is new."""
    given = attributes["metric"]["data"]["attributes"]
    metric = account.metric(given["name"], given.get("service") or "api", now)
    moment = rules.parse_time(attributes["time"]) if attributes.get("time") else None
    time = int(moment.timestamp()) if moment else int(now)
    unique_id = attributes.get("unique_id")
    key = unique_id or str(time)
    known = account.unique.get((profile.id, metric.id, key))
    if known is not None:
        known.n_received += 1
        return False
    properties = {**attributes["properties"], "$event_id": key}
    if attributes.get("value") is not None:
        properties["$value"] = attributes["value"]
    if attributes.get("value_currency"):
        properties["$value_currency"] = attributes["value_currency"]
    seq = account.new_seq()
    event = Event(
        account.new_event_id(seq), seq, profile.id, metric.id, unique_id, time, properties, now,
        backfill=backfill or bool(attributes.get("backfill")),
    )  # fmt: skip
    account.add_event(event, key)
    profile.last_event = max(profile.last_event or 0.0, float(time))
    return True
