"""Reads: events, profiles, metrics, the account; paging by cursor."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlencode

import orjson

from streams.simulators.control import Reply
from streams.simulators.klaviyo import filters, resources
from streams.simulators.klaviyo.context import Context
from streams.simulators.klaviyo.errors import Problem, Refused, document
from streams.simulators.klaviyo.store import Event, Metric, Profile

T = TypeVar("T")
_TIMES = ("greater-than", "greater-or-equal", "less-than", "less-or-equal")
_IS = ("equals", "any")
_EVENT_FILTERS: Mapping[str, tuple[str, ...]] = {
    "metric_id": ("equals",), "profile_id": ("equals",), "profile": ("has",), "metric": ("has",),
    "datetime": _TIMES, "timestamp": _TIMES,
}  # fmt: skip
PROFILE_FILTERS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("id", "email", "phone_number", "external_id"), _IS),
    "_kx": ("equals",),
    **dict.fromkeys(("created", "updated"), ("greater-than", "less-than")),
}
_METRIC_FILTERS = dict.fromkeys(("integration.name", "integration.category"), ("equals",))
_PROFILE_SORTS = ("id", "created", "updated", "email")
Key = Callable[[T], tuple[Any, int]]


def page_size(ctx: Context, default: int, most: int) -> int:
    """Return `page[size]`, or refuse one out of range."""
    text = ctx.query.get("page[size]", str(default))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= most:
        detail = f"Page size must be an integer between 1 and {most}."
        raise Refused(Problem(detail, None, parameter="page[size]"))
    return int(text)


def page(
    ctx: Context,
    items: Iterable[T],
    key: Key[T],
    shown: Callable[[T], Any],
    *,
    size: int,
    downward: bool = False,
    included: Callable[[list[T]], list[Any]] | None = None,
) -> Reply:
    """Return one page, ordered by `key`: a value and a number that never ties.

    A cursor holds the key of the page's first item, so that items added meanwhile shift nothing.
    """
    ordered = sorted(items, key=key, reverse=downward)
    cursor = ctx.query.get("page[cursor]")
    start = 0
    if cursor:
        mark = _read_cursor(cursor)
        while start < len(ordered) and (
            key(ordered[start]) > mark if downward else key(ordered[start]) < mark
        ):
            start += 1
    rows = ordered[start : start + size]
    links: dict[str, Any] = {"self": _link(ctx, cursor), "prev": None, "next": None}
    if start + size < len(ordered):
        links["next"] = _link(ctx, _cursor(key(ordered[start + size])))
    if start > 0:
        links["prev"] = _link(ctx, _cursor(key(ordered[max(0, start - size)])))
    body: dict[str, Any] = {"data": [shown(row) for row in rows], "links": links}
    if included is not None:
        body["included"] = included(rows)
    return document(200, body)


def _cursor(mark: tuple[Any, int]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(mark)).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[Any, int]:
    """Read a cursor; Klaviyo's Python client hands back a whole link, or what follows the name, `=` too."""
    cursor = unquote(cursor).rpartition("page[cursor]")[2].partition("&")[0].lstrip("=")
    try:
        value, number = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, TypeError):
        raise Refused(Problem("Invalid page cursor.", None, parameter="page[cursor]")) from None
    return value, number


def _link(ctx: Context, cursor: str | None) -> str:
    query = {name: value for name, value in ctx.query.items() if name != "page[cursor]"}
    if cursor:
        query["page[cursor]"] = cursor
    path = f"{ctx.host}{ctx.call.path.rstrip('/')}/"
    return path + (f"?{urlencode(query, quote_via=quote)}" if query else "")


def sort_of(ctx: Context, default: str, allowed: tuple[str, ...]) -> tuple[str, bool]:
    """Return what `sort` names and whether it goes downward."""
    text = ctx.query.get("sort", default)
    name = text.removeprefix("-")
    if name not in allowed:
        raise Refused(Problem(f"'{text}' is not a valid sort value.", None, parameter="sort"))
    return name, text.startswith("-")


def get_events(ctx: Context) -> Reply:
    """GET /api/events: newest first unless `sort` says otherwise."""
    conditions = filters.parse(ctx.query.get("filter"), _EVENT_FILTERS)
    size = page_size(ctx, 200, 1000)
    _, downward = sort_of(ctx, "-datetime", ("datetime", "timestamp"))
    ready = ctx.now - ctx.config.read_delay_s
    rows = [row for row in _candidates(ctx, conditions) if row.received <= ready and _has(row, conditions)]

    def shown(row: Event) -> resources.Resource:
        return resources.event(row, ctx)

    def included(events: list[Event]) -> list[resources.Resource]:
        return _included(ctx, events)

    more = included if ctx.query.get("include") else None
    return page(
        ctx, rows, lambda row: (row.time, row.seq), shown, size=size, downward=downward, included=more
    )


def _included(ctx: Context, events: list[Event]) -> list[resources.Resource]:
    """Return the profiles and metrics of events, each once, as `include` asks."""
    asked = ctx.query["include"].split(",")
    wrong = set(asked) - {"attributions", "metric", "profile"}
    if wrong:
        detail = f"'{min(wrong)}' is not a valid include for the resource 'event'."
        raise Refused(Problem(detail, None, parameter="include"))
    made: list[resources.Resource] = []
    if "profile" in asked:
        ids = dict.fromkeys(row.profile_id for row in events)
        made += [resources.profile(ctx.account.profiles[key], ctx) for key in ids]
    if "metric" in asked:
        metrics = dict.fromkeys(row.metric_id for row in events)
        made += [resources.metric(ctx.account.metrics[key], ctx) for key in metrics]
    return made


def _candidates(ctx: Context, conditions: list[filters.Condition]) -> list[Event]:
    """Return the smallest index's events that may match."""
    choices = [ctx.account.events]
    for condition in conditions:
        if condition.operator == "equals":
            index = ctx.account.events_of if condition.field == "profile_id" else ctx.account.events_in
            choices.append(index.get(condition.values[0], []))
    return min(choices, key=len)


def _has(row: Event, conditions: list[filters.Condition]) -> bool:
    values = {"metric_id": row.metric_id, "profile_id": row.profile_id, "profile": row.profile_id}
    known: dict[str, Any] = {**values, "metric": row.metric_id, "datetime": row.time, "timestamp": row.time}
    return all(condition.holds(known[condition.field]) for condition in conditions)


def get_event(ctx: Context) -> Reply:
    """GET /api/events/{id}."""
    row = ctx.account.event_by_id.get(ctx.ids[0])
    if row is None:
        raise Refused(Problem(f"An event with id {ctx.ids[0]} does not exist.", "/data/id", status=404))
    return document(200, resources.one(resources.event(row, ctx)))


def get_profiles(ctx: Context) -> Reply:
    """GET /api/profiles: 20 a page unless `page[size]` says otherwise, at most 100."""
    return profile_page(ctx, ctx.account.profiles.values(), PROFILE_FILTERS)


def profile_page(
    ctx: Context,
    profiles: Iterable[Profile],
    allowed: Mapping[str, tuple[str, ...]],
    *,
    ids_only: bool = False,
    joined: Mapping[str, float] | None = None,
) -> Reply:
    """Return a page of some profiles, filtered and sorted as the query asks."""
    conditions = filters.parse(ctx.query.get("filter"), allowed)
    size = page_size(ctx, 20, 100)
    name, downward = sort_of(
        ctx, "id", _PROFILE_SORTS if joined is None else ("joined_group_at", *_PROFILE_SORTS)
    )
    rows = _looked_up(ctx, conditions)
    if rows is None:
        rows = list(profiles)
    else:
        members = {row.id for row in profiles} if ids_only or allowed is not PROFILE_FILTERS else None
        rows = [row for row in rows if members is None or row.id in members]
    since = joined or {}
    rows = [row for row in rows if all(_matches(row, condition, since) for condition in conditions)]

    def key(row: Profile) -> tuple[Any, int]:
        sorts: dict[str, Any] = {"id": row.id, "created": row.created, "updated": row.updated}
        sorts["joined_group_at"] = since.get(row.id, row.created)
        return (row.attributes.get("email") or "" if name == "email" else sorts[name]), row.seq

    def shown(row: Profile) -> Any:
        if ids_only:
            return {"type": "profile", "id": row.id}
        made = resources.profile(row, ctx)
        if joined is not None:
            made["attributes"]["joined_group_at"] = resources.iso(joined.get(row.id, row.created))
        return made

    return page(ctx, rows, key, shown, size=size, downward=downward)


def _looked_up(ctx: Context, conditions: list[filters.Condition]) -> list[Profile] | None:
    """Find profiles by the index of an identifier; None when no condition names one."""
    for condition in conditions:
        if condition.field not in ("id", "email", "phone_number", "external_id"):
            continue
        found: dict[str, Profile] = {}
        for value in condition.values:
            key = value.lower() if condition.field == "email" else value
            known = value if condition.field == "id" else ctx.account.found[condition.field].get(key)
            if known in ctx.account.profiles:
                found[known] = ctx.account.profiles[known]
        return list(found.values())
    return None


def _matches(row: Profile, condition: filters.Condition, since: Mapping[str, float]) -> bool:
    if condition.field in ("email", "phone_number", "external_id", "id"):
        value = row.id if condition.field == "id" else row.attributes.get(condition.field)
        asked = {text.lower() for text in condition.values}
        return value is not None and (
            value.lower() in asked if condition.field == "email" else condition.holds(value)
        )
    if condition.field == "_kx":
        return condition.values[0] == f"kx.{row.id}"
    times = {"created": row.created, "updated": row.updated, "joined_group_at": since.get(row.id)}
    return condition.holds(times.get(condition.field))


def get_profile(ctx: Context) -> Reply:
    """GET /api/profiles/{id}."""
    return document(200, resources.one(resources.profile(resources.known_profile(ctx, ctx.ids[0]), ctx)))


def get_metrics(ctx: Context) -> Reply:
    """GET /api/metrics: 200 a page, no `page[size]`; names are not to be filtered by."""
    conditions = filters.parse(ctx.query.get("filter"), _METRIC_FILTERS)
    rows = []
    for row in ctx.account.metrics.values():
        integration = resources.metric(row, ctx)["attributes"].get("integration", {})
        if all(condition.holds(integration.get(condition.field[12:])) for condition in conditions):
            rows.append(row)
    order = {row.id: number for number, row in enumerate(rows)}

    def shown(row: Metric) -> resources.Resource:
        return resources.metric(row, ctx)

    return page(ctx, rows, lambda row: (row.created, order[row.id]), shown, size=200)


def get_accounts(ctx: Context) -> Reply:
    """GET /api/accounts: the one account of the key."""
    shown = resources.account(ctx.account, ctx)
    return document(200, {"data": [shown], "links": {"self": f"{ctx.host}/api/accounts/"}})


def get_account(ctx: Context) -> Reply:
    """GET /api/accounts/{id}."""
    shown = resources.account(ctx.account, ctx)
    if shown["id"] != ctx.ids[0]:
        raise Refused(Problem(f"An account with id {ctx.ids[0]} does not exist.", "/data/id", status=404))
    return document(200, resources.one(shown))
