"""What has to be asked before a call: which list a name means, and which profile a person is at Klaviyo."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from streams.deliver import notices
from streams.deliver.family import Learned, Read
from streams.deliver.judge import dead
from streams.deliver.row import Group, Row, Settled
from streams.klaviyo import audience
from streams.klaviyo.replies import Reply
from streams.ledger.reasons import Outcome, Reason

LIST_KEPT_MS: Final = 3_600_000
"""How long an answer about a list's name counts."""


@dataclass(frozen=True, slots=True)
class KnownList:
    """A list at Klaviyo."""

    id: str
    double_opt_in: bool


def list_key(ref: str) -> bytes:
    """Where it is remembered which list an id or a name means."""
    return b"l/" + ref.encode()


def member_key(list_id: str, profile_id: str) -> bytes:
    """Where it is remembered who was put on a list, or taken off it, and when.

    Of a list that was not there yet its name stands for the id.
    """
    return b"m/" + list_id.encode() + b"/" + profile_id.encode()


def known_list(ref: str, read: Read, now_ms: int) -> KnownList | None:
    """What an earlier answer said, if it is young enough."""
    value = read(list_key(ref))
    if value is None:
        return None
    known = orjson.loads(value)
    if "id" not in known or not 0 <= now_ms - known["at"] < LIST_KEPT_MS:
        return None
    return KnownList(known["id"], known["double"])


def list_form(known: KnownList, now_ms: int) -> bytes:
    """The form that the state holds."""
    return orjson.dumps({"id": known.id, "double": known.double_opt_in, "at": now_ms})


def gone(reply: Reply, ref: str, list_id: str, *, asked: bool) -> Learned | None:
    """What a 404 means for those who need a list: it is looked up anew, once; None: it is the endpoint's."""
    if reply.status != 404 or not list_id or asked:
        return None
    return Learned({list_key(ref): None}, mends=True)


def lists_in(data: Any) -> list[KnownList]:
    """The lists that an answer shows."""
    return [
        KnownList(found, attributes.get("opt_in_process") == "double_opt_in")
        for found, attributes in audience.resources(data)
    ]


def about_list(
    group: Group,
    data: Any,
    now_ms: int,
    *,
    create: bool,
    joins: Callable[[Row], bool],
) -> Learned:
    """What an answer about a list means for those who need it: asked for by name, then by id, then made.

    Args:
        group: the rows that wait for it.
        data: of the answer.
        now_ms: the wall clock.
        create: whether to make it.
        joins: whom it is made for; who leaves a list that may not be there yet has nothing to leave.
    """
    ready = group.rows[0].ready
    found = lists_in(data)
    if len(found) == 1:
        return Learned({list_key(ready.list): list_form(found[0], now_ms)})
    if found:
        ids = ", ".join(known.id for known in found)
        return _without_list(group, f"several lists are called {ready.list!r}: write the id of one ({ids})")
    if ready.step == "id" and not create:
        return _without_list(
            group,
            f"Klaviyo has no list {ready.list!r}, neither as id nor as name: create it there, "
            "correct the rule, or set lists.create: true",
        )
    after = "id" if ready.step == "name" else "create"
    going = [row for row in group.rows if after == "id" or joins(row)]
    for row in going:
        row.ready.step = row.ready.list_step = after
        row.ready.named_after = row.attempts
    left = [Settled(row, Outcome.UNCHANGED, Reason.NOT_MEMBER) for row in group.rows if row not in going]
    return Learned(ended=left, stay=bool(going))


def _without_list(group: Group, why: str) -> Learned:
    return Learned(ended=[dead(row, Reason.REJECTED, why) for row in group.rows])


def member_form(time_ms: int, *, on: bool) -> bytes:
    """Membership in the form that the state holds."""
    return orjson.dumps([on, time_ms])


def newest_membership(list_id: str, ref: str, profile_id: str, read: Read) -> tuple[bool, int] | None:
    """The same as ``membership``, with what was said of the list before it was there."""
    found = [membership(name, profile_id, read) for name in dict.fromkeys((list_id, ref))]
    return max(filter(None, found), key=lambda known: (known[1], not known[0]), default=None)


def membership(list_id: str, profile_id: str, read: Read) -> tuple[bool, int] | None:
    """Whether the person was last put on the list or taken off, and the time of that event (ms).

    What was said of those who were merged into the profile counts, too: the newest does, in a tie the leave.
    """
    names = (profile_id, *notices.absorbed(profile_id, read))
    found = [known for name in names if (known := own_membership(list_id, name, read)) is not None]
    return max(found, key=lambda known: (known[1], not known[0]), default=None)


def own_membership(list_id: str, profile_id: str, read: Read) -> tuple[bool, int] | None:
    """The same as it was said under the profile's own name: this Klaviyo was told."""
    value = read(member_key(list_id, profile_id))
    if value is None:
        return None
    on, time_ms = orjson.loads(value)
    return on, time_ms


def paged(rows: Sequence[Row], value: Callable[[Row], str]) -> list[list[Row]]:
    """Rows in parts that one look-up may name."""
    parts: list[list[Row]] = []
    waiting = list(rows)
    for page in audience.pages(value(row) for row in rows):
        parts.append(waiting[: len(page)])
        del waiting[: len(page)]
    return parts


def event_time(row: Row) -> int:
    """When it happened, ms; a time after acceptance counts as acceptance: else it would win for ever."""
    return min(row.op["time"], row.op["origin"]["accepted_at"])
