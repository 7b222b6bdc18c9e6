"""Lists and who is on them; membership changes no consent."""

from __future__ import annotations

from collections.abc import Mapping

from streams.simulators.control import Reply
from streams.simulators.klaviyo import filters, reads, resources, shapes
from streams.simulators.klaviyo.context import Context, checked
from streams.simulators.klaviyo.errors import Problem, Refused, document
from streams.simulators.klaviyo.store import MemberList, Profile

_MOST_BYTES = 5_000_000
_IS = ("equals", "any")
_MEMBER_FILTERS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("email", "phone_number", "push_token"), _IS),
    "_kx": ("equals",),
    "joined_group_at": ("greater-than", "greater-or-equal", "less-than", "less-or-equal"),
}
_LIST_FILTERS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("name", "id"), _IS),
    **dict.fromkeys(("created", "updated"), ("greater-than",)),
}


def create_list(ctx: Context) -> Reply:
    """POST /api/lists: 201; names need not be unique."""
    body, problems = checked(ctx, shapes.LIST_CREATE, _MOST_BYTES)
    if problems:
        raise Refused(*problems)
    asked = body["data"]["attributes"]
    opt_in = asked.get("opt_in_process") or ctx.config.default_opt_in
    made = ctx.account.add_list(asked["name"], opt_in, ctx.now)
    reply = document(201, resources.one(resources.member_list(made, ctx)))
    if ctx.call.drop:
        del ctx.account.lists[made.id]
        return reply
    reply.recorded = 1
    return reply


def get_lists(ctx: Context) -> Reply:
    """GET /api/lists: at most 10 a page."""
    conditions = filters.parse(ctx.query.get("filter"), _LIST_FILTERS)
    size = reads.page_size(ctx, 10, 10)
    name, downward = reads.sort_of(ctx, "id", ("id", "name", "created", "updated"))
    order = {key: number for number, key in enumerate(ctx.account.lists)}
    rows = [
        row
        for row in ctx.account.lists.values()
        if all(condition.holds(getattr(row, condition.field)) for condition in conditions)
    ]

    def shown(row: MemberList) -> resources.Resource:
        return resources.member_list(row, ctx)

    return reads.page(
        ctx, rows, lambda row: (getattr(row, name), order[row.id]), shown, size=size, downward=downward
    )


def get_list(ctx: Context) -> Reply:
    """GET /api/lists/{id}."""
    return document(200, resources.one(resources.member_list(resources.known_list(ctx, ctx.ids[0]), ctx)))


def _members(ctx: Context) -> tuple[MemberList, list[str]]:
    known = resources.known_list(ctx, ctx.ids[0])
    body, problems = checked(ctx, shapes.LIST_MEMBERS, _MOST_BYTES)
    ids = [row.get("id") for row in body.get("data") or ()] if not problems else []
    for index, profile_id in enumerate(ids):
        if profile_id not in ctx.account.profiles:
            detail = f"A profile with id {profile_id} does not exist."
            problems.append(Problem(detail, f"/data/{index}/id"))
    if problems:
        raise Refused(*problems)
    return known, ids


def add_members(ctx: Context) -> Reply:
    """POST /api/lists/{id}/relationships/profiles: 204; 1000 Klaviyo ids at most."""
    known, ids = _members(ctx)
    added = [profile_id for profile_id in ids if profile_id not in known.members]
    if ctx.call.drop:
        return Reply(204)
    known.members.update(dict.fromkeys(added, ctx.now))
    known.updated = ctx.now
    return Reply(204, recorded=len(added))


def remove_members(ctx: Context) -> Reply:
    """DELETE /api/lists/{id}/relationships/profiles: 204; who is not on the list is passed over."""
    known, ids = _members(ctx)
    removed = [profile_id for profile_id in ids if profile_id in known.members]
    if ctx.call.drop:
        return Reply(204)
    for profile_id in removed:
        known.members.pop(profile_id, None)
    known.updated = ctx.now
    return Reply(204, recorded=len(removed))


def get_members(ctx: Context) -> Reply:
    """GET /api/lists/{id}/profiles."""
    known = resources.known_list(ctx, ctx.ids[0])
    return reads.profile_page(ctx, _profiles(ctx, known), _MEMBER_FILTERS, joined=known.members)


def get_member_ids(ctx: Context) -> Reply:
    """GET /api/lists/{id}/relationships/profiles: references only."""
    known = resources.known_list(ctx, ctx.ids[0])
    rows = _profiles(ctx, known)
    return reads.profile_page(ctx, rows, _MEMBER_FILTERS, ids_only=True, joined=known.members)


def _profiles(ctx: Context, known: MemberList) -> list[Profile]:
    return [ctx.account.profiles[key] for key in known.members if key in ctx.account.profiles]
