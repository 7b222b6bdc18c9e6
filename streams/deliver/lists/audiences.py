"""What lists and consent have in common: whose an operation is, one call's worth of rows, who may leave."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from streams.deliver.family import Learned, NotSent
from streams.deliver.lists import lookups
from streams.deliver.lists.guard import Guard
from streams.deliver.lists.naming import Naming, making_form
from streams.deliver.row import Group, Row
from streams.klaviyo import audience, limits, requests
from streams.klaviyo.limits import Sound
from streams.klaviyo.operation import Operation
from streams.klaviyo.replies import Accepted, Reply
from streams.klaviyo.requests import Request
from streams.ledger.reasons import Reason


def identified(op: Operation) -> Sound | NotSent:
    """The identifiers that Klaviyo takes of a profile; without one nothing can be sent."""
    found = limits.profile(requests.identifiers(op["profile"]), {})
    if isinstance(found, limits.Refused):
        return NotSent(Reason.REJECTED, f"not sent: {found.detail}")
    return found


def parts(
    rows: Sequence[Row],
    kind: Callable[[Row], tuple[str, ...]],
    cut: Callable[[list[Row]], list[list[Row]]],
) -> list[list[Row]]:
    """Rows that one call may carry.

    Args:
        rows: no two of a profile, unless all that a profile has needs no call.
        kind: what the rows of a call have in common.
        cut: those of one kind in parts of a call's size.
    """
    alike: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        alike.setdefault(kind(row), []).append(row)
    return [part for group in alike.values() for part in cut(group)]


def chunks(rows: list[Row], size: int) -> list[list[Row]]:
    """So many rows at a time."""
    return [rows[at : at + size] for at in range(0, len(rows), size)]


def ask_for_list(group: Group, naming: Naming) -> Request:
    """A list is made by the group that asks for it alone; after a failure its name is looked up first."""
    ready = group.rows[0].ready
    asking = naming.asking(ready.list, ready.turn, group.at_ms)
    if ready.step == "create":
        if asking and all(row.attempts == row.ready.named_after for row in group.rows):
            return audience.create_list(ready.list)
        for row in group.rows:
            row.ready.step = row.ready.list_step = "name"
    return audience.find_list(ready.step, ready.list)


def making(group: Group, now_ms: int) -> Mapping[bytes, bytes | None]:
    """What is written before a list is made: a successor must not make it, too."""
    ready = group.rows[0].ready
    return {lookups.list_key(ready.list): making_form(now_ms)} if ready.step == "create" else {}


def about_list(
    group: Group, data: Any, now_ms: int, naming: Naming, *, create: bool, joins: Callable[[Row], bool]
) -> Learned:
    """The same as ``lookups.about_list``; a group that asked for too long asks no more."""
    ready = group.rows[0].ready
    learned = lookups.about_list(group, data, now_ms, create=create, joins=joins)
    if learned.stay and not naming.asking(ready.list, ready.turn, now_ms):
        return replace(learned, stay=False)
    if not learned.stay:
        naming.over(ready.list, ready.turn)
    return learned


def leave(guard: Guard, list_id: str, now_ms: int) -> Literal["go", "size", "stop"]:
    """Whether one more may leave a list: then it is counted; "size": the list's size is to be asked first."""
    verdict = guard.verdict(list_id, now_ms)
    if verdict == "go":
        guard.leaves(list_id, now_ms)
    return verdict


def sized(guard: Guard, list_id: str, data: object, now_ms: int) -> None:
    """Klaviyo's answer about the size of a list."""
    for _, its in audience.resources(data):
        guard.sized(list_id, int(its.get("profile_count") or 0), now_ms)


def unread(reply: Reply, rows: Sequence[Row], found: Mapping[str, object]) -> list[Row]:
    """Of those asked about, who may be on a page that was not read: nothing is known of them yet.

    Klaviyo gives up to 100 a page and is asked for no more, but nobody is subscribed for its giving fewer.
    If a page has none of them, there is nobody to wait for.
    """
    missing = [row for row in rows if audience.same(*row.ready.by) not in found]
    more = isinstance(reply.verdict, Accepted) and reply.verdict.next is not None
    return missing if more and len(missing) < len(rows) else []
