"""Consent: nobody is subscribed by anything older than the last no; Klaviyo is asked before it is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from streams.deliver import numbers
from streams.deliver.consent import permission, prepare, standing, steps
from streams.deliver.consent.ends import Ends, maybe_taken
from streams.deliver.consent.prepare import Ready
from streams.deliver.family import HOLD_S, Learned, NotSent, Prepared, Read, Sorted, payload_of
from streams.deliver.lists import audiences, lookups
from streams.deliver.lists.guard import Guard
from streams.deliver.lists.naming import Naming
from streams.deliver.row import Group, Row, Settled, by_profile
from streams.klaviyo import audience, consents
from streams.klaviyo.budgets import (
    LIST_CREATE,
    LIST_GET,
    LIST_SIZE,
    PROFILE_GET,
    SUBSCRIBE,
    SUPPRESS,
    UNSUBSCRIBE,
    UNSUPPRESS,
)
from streams.klaviyo.operation import Operation
from streams.klaviyo.replies import Accepted, Rejected, RejectedWhole, Reply, Stopped
from streams.klaviyo.requests import Request

_NAMING: Final = ("name", "id", "create")
"""Steps that need the list itself."""
_ASK, _TELL = "ask", "tell"
"""``Group.step``: what the group's last request was."""


@dataclass(slots=True)
class Consent:
    """The consent family. ``create``: make lists that Klaviyo does not have, for whoever subscribes."""

    create: bool = False
    naming: Naming = field(default_factory=Naming)
    guard: Guard = field(default_factory=Guard)
    name: str = "consent"
    single: str = SUBSCRIBE
    bulk: str | None = None
    each: int = 1
    budgets: tuple[str, ...] = (
        SUBSCRIBE, UNSUBSCRIBE, SUPPRESS, UNSUPPRESS, LIST_CREATE, LIST_GET, LIST_SIZE, PROFILE_GET,
    )  # fmt: skip

    def prepare(self, op: Operation, now_ms: int) -> Prepared | NotSent:
        """Check one operation."""
        payload = payload_of(op)
        if isinstance(payload, NotSent):
            return payload
        return (prepare.observed if op["kind"] == "observed" else prepare.asked)(op, payload)

    def cut(self, rows: Sequence[Row]) -> list[list[Row]]:
        """Rows are sorted instead."""
        return [list(rows)]

    def sort(self, rows: Sequence[Row], read: Read, now_ms: int) -> Sorted:
        """Of each profile what needs no call ends first, then one operation goes."""
        going: list[Row] = []
        later: list[Row] = []
        held: list[Row] = []
        held_s = HOLD_S
        turn = self.naming.begin()
        for own in by_profile(rows):
            chosen = steps.choose(own, read, now_ms)
            later += [row for row in own if row not in chosen]
            ready: Ready = chosen[0].ready
            if ready.step in _NAMING:
                ready.turn = turn if self.naming.asks(ready.list, ready.turn, read, now_ms) else 0
                held_s = held_s if ready.turn else max(held_s, self.naming.wait_s(ready.list, now_ms))
                waits = not ready.turn
            else:
                waits = self._stopped(ready, now_ms)
            (held if waits else going).extend(chosen)
        parts = audiences.parts(going, steps.kind, steps.cut)
        return Sorted(parts, later, held, held_s)

    def _stopped(self, ready: Ready, now_ms: int) -> bool:
        """Whether the guard lets nobody more leave the list, or all; of all, only the subscribed count."""
        list_id = ready.word.list_id
        if ready.step not in ("unsubscribe", "suppress") or ready.counted:
            return False
        if not list_id and (ready.subscribed is False or not self.guard.most):
            return False
        if not list_id and ready.subscribed is None:
            ready.step = "look"
            return False
        verdict = audiences.leave(self.guard, list_id, now_ms)
        ready.counted = verdict == "go"
        if verdict == "size":
            ready.step = "size"
        return verdict == "stop"

    def request(self, group: Group, read: Read) -> Request | None:
        """The question or the call of a group; None when there is nothing to say to Klaviyo."""
        if group.rows[0].ready.step in _NAMING:
            group.step = _ASK
            return audiences.ask_for_list(group, self.naming)
        question = _question(group)
        if question is None and steps.more_is_known(group, read):
            question = _question(group)
        group.step = _TELL if question is None else _ASK
        return _call(group) if question is None else question

    def intends(self, group: Group, now_ms: int) -> Mapping[bytes, bytes | None]:
        """A confirmation may be asked for from now on: after a crash nobody is asked twice."""
        if group.step != _TELL:
            return audiences.making(group, now_ms)
        return {standing.doubt_key(row.op["op_id"]): b"1" for row in group.rows if row.ready.confirms}

    def learned(self, group: Group, reply: Reply, now_ms: int) -> Learned:
        """Remember lists and what Klaviyo knows of people; who must not be told about any more ends."""
        data = reply.verdict.data if isinstance(reply.verdict, Accepted) else None
        ready: Ready = group.rows[0].ready
        if ready.step in _NAMING:
            learned = audiences.about_list(
                group, data, now_ms, self.naming, create=self.create, joins=steps.joins
            )
            ends = Ends()
            for end in learned.ended:
                ends.without_list(end)
            return replace(learned, changes={**learned.changes, **ends.changes}, ended=ends.ended)
        if ready.step == "size":
            audiences.sized(self.guard, ready.word.list_id, data, now_ms)
            return Learned()
        found = audience.by_identifier(ready.by[0], data)
        if ready.step == "look":
            steps.looked(_read(reply, group.rows, found), found)
            return Learned()
        ends = Ends()
        if doubted := steps.doubted(group):
            for row in _read(reply, doubted, found):
                ends.read_back(row, on_list=audience.same(*row.ready.by) in found)
            return Learned(ends.changes, ends.ended, stay=True)
        call = ready.step
        for row in _read(reply, steps.outdated(group), found):
            row.ready.asked_at = now_ms
            shown = found.get(audience.same(*row.ready.by))
            if call == "subscribe":
                step = ends.seen(row, (shown[1].get("subscriptions") or {}) if shown else {}, now_ms)
            else:
                step = "unsubscribe" if shown else "not_member"
            if step in steps.SILENT:
                row.ready.step = step
                ends.end(Settled(row, *steps.SILENT[step]))
        return Learned(ends.changes, ends.ended, stay=True)

    def refused(self, group: Group, reply: Reply, now_ms: int) -> Learned | None:
        """What follows is the table's; unless it follows at once, people are asked about once more before."""
        if group.step == _TELL:
            for row in group.rows:
                row.ready.doubt = maybe_taken(reply)
                if not isinstance(reply.verdict, Rejected | RejectedWhole):
                    row.ready.asked_at = permission.NEVER
        ready: Ready = group.rows[0].ready
        if ready.step in _NAMING and isinstance(reply.verdict, Stopped):
            self.naming.over(ready.list, ready.turn)
        learned = lookups.gone(reply, ready.list, ready.word.list_id, asked=ready.looked_anew)
        for row in group.rows if learned is not None else ():
            row.ready.looked_anew = True
        return learned

    def accepted(
        self, group: Group, reply: Reply | None, settled: Sequence[Settled]
    ) -> tuple[list[Settled], Mapping[bytes, bytes | None]]:
        """Remember what was said."""
        ends = Ends()
        for end in settled:
            ends.end(end)
        return ends.ended, ends.changes

    def rejected(self, ends: Sequence[Settled]) -> tuple[list[Settled], Mapping[bytes, bytes | None]]:
        """A no counts though Klaviyo did not take it; a yes that it finds outdated is refused."""
        over = Ends()
        before: dict[Row, Ready] = {end.row: end.row.ready for end in ends}
        ended = numbers.over(self, ends)
        for row in before.keys() - {end.row for end in ended}:
            row.ready.doubt, row.ready.known = False, before[row].known
            if before[row].word.restricts:
                over.remember(row, permission.said(before[row].word))
        for end in ended:
            self.naming.over(end.row.ready.list, end.row.ready.turn)
            if end.row.ready.step in _NAMING:
                over.ended.append(end)
            else:
                over.fail(end)
        return over.ended, over.changes

    def given_up(self, ends: Sequence[Settled], read: Read) -> Mapping[bytes, bytes | None]:
        """A no counts; one to a list that was never found says nothing about another."""
        over = Ends()
        for end in ends:
            ready: Ready = end.row.ready
            ready.known = standing.known(end.row, read)
            if ready.word.restricts and (ready.word.list_id or not ready.list):
                over.fail(end)
        return over.changes


def _read(reply: Reply, asked: Sequence[Row], found: Mapping[str, object]) -> list[Row]:
    """Those about whom the answer says something; the others are asked about again."""
    unread = audiences.unread(reply, asked, found)
    return [row for row in asked if row not in unread]


def _question(group: Group) -> Request | None:
    """What Klaviyo is asked before it is told."""
    ready: Ready = group.rows[0].ready
    by, list_id = ready.by[0], ready.word.list_id
    match ready.step:
        case "size":
            return audience.list_size(list_id)
        case "look":
            values = [row.ready.by[1] for row in group.rows]
            return audience.find_profiles(by, values, subscriptions=True)
    if doubted := steps.doubted(group):
        return audience.find_members(list_id, by, [row.ready.by[1] for row in doubted])
    if outdated := steps.outdated(group):
        values = [row.ready.by[1] for row in outdated]
        if ready.step == "subscribe":
            return audience.find_profiles(by, values, subscriptions=True)
        return audience.find_members(list_id, by, values)
    return None


def _call(group: Group) -> Request | None:
    ready: Ready = group.rows[0].ready
    word = ready.word
    match ready.step:
        case "subscribe":
            people = [row.ready.person() for row in group.rows]
            return consents.subscribe(
                people, list_id=word.list_id, historical=ready.historical, custom_source=word.source
            )
        case "unsubscribe":
            return consents.unsubscribe([row.ready.person() for row in group.rows], list_id=word.list_id)
        case "suppress":
            return consents.suppress([row.ready.who["email"] for row in group.rows])
        case "unsuppress":
            return consents.unsuppress([row.ready.who["email"] for row in group.rows])
        case _:
            return None
