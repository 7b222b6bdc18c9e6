"""From records to rows that wait: decoded, checked, and known ids turned away."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import orjson

from streams.deliver import intent, notices, records
from streams.deliver.desk import Desk
from streams.deliver.family import Family, NotSent, Prepared
from streams.deliver.intent import Doubts
from streams.deliver.judge import dead
from streams.deliver.profiles import jobs
from streams.deliver.profiles.jobs import Jobs
from streams.deliver.row import Group, Row, Settled
from streams.deliver.sending.lane import Lane
from streams.deliver.sending.position import Position
from streams.engine.errors import Unreadable
from streams.engine.inbox import Record
from streams.engine.slot import Slot
from streams.engine.topics import BACKFILL
from streams.klaviyo.operation import Operation
from streams.ledger.reasons import Outcome, Reason

MOST_SAID: Final = 500
"""Characters of why a lane stopped, in each position while it stands."""
EVER: Final = "ever:"
"""How a once-mark of a person begins; the profile's id follows."""


def sent_key(op_id: str) -> bytes:
    """Where an op id that was delivered is remembered; the value is the day since the epoch."""
    return b"s/" + op_id.encode()


def once_key(account: str, mark: str) -> bytes:
    """Where it is remembered which operation holds a once-mark."""
    return b"o/" + account.encode() + b"/" + mark.encode()


def duplicate(row: Row) -> Settled:
    """The end of a row whose op id was delivered before."""
    return Settled(row, Outcome.DUPLICATE, Reason.SENT_BEFORE)


@dataclass(slots=True)
class Intake:
    """Takes records of the lane's topics in; what ends at once is in ``ended`` and ``unreadable``."""

    desk: Desk
    family: Family
    slot: Slot
    lane: Lane
    positions: dict[str, Position] = field(default_factory=dict)
    doubts: Doubts = field(default_factory=Doubts)
    ended: list[Settled] = field(default_factory=list)
    unreadable: list[bytes] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)
    """Topics whose position moved."""
    accepted_at: dict[str, int] = field(default_factory=dict)
    full: set[str] = field(default_factory=set)
    """Topics that are read no further for now."""
    stale: list[bytes] = field(default_factory=list)
    """Intents that speak of done rows only."""
    marks: dict[bytes, bytes | None] = field(default_factory=dict)
    """Once-marks taken or freed, to be written."""
    jobs: Jobs = field(default_factory=Jobs)

    def restore(self, topics: Sequence[str]) -> None:
        """Read positions and the intents that had no result."""
        self.positions = {topic: Position.restored(self.slot.restored_position(topic)) for topic in topics}
        intents = self.slot.store.scan(intent.prefix(self.family.name))
        self.doubts = Doubts.restored(intents, self.desk.clock(), self.desk.now_ms())
        self.stale = self.doubts.settle(lambda topic, offset: self.positions[topic].holds(offset))
        self.jobs = Jobs.restored(self.slot.store.scan(jobs.prefix(self.family.name)))
        for who in self.jobs.profiles():
            self.lane.occupy(who)

    def read(self, key: bytes) -> bytes | None:
        """The state, with what other lanes are about to write."""
        return self.desk.ahead.read(key, self.slot.store.get)

    def busy(self, who: str) -> bool:
        """Whether a call of the profile is open or in doubt; while it is not known of whom one is: yes."""
        return self.doubts.unread or self.lane.calling(who)

    def take_adopted(self) -> list[Group]:
        """Groups whose job a former life began, all their rows taken in again."""
        return self.jobs.take_whole()

    def stopped(self, why: str | None) -> None:
        """Say with the lane's position why nothing of it can be sent, or that it can; since when is kept."""
        topic = next(iter(self.positions))
        position = self.positions[topic]
        before, since = position.stopped or (None, self.desk.now_ms())
        said = why and why[:MOST_SAID]
        if said != before:
            position.stopped = None if said is None else (said, since)
            self.touched.add(topic)

    def free_mark(self, row: Row) -> None:
        """The row ended in a dead letter: another may have the mark."""
        if row.once and self.read(row.once) == row.op["op_id"].encode():
            self._mark(row.once, None)

    def _mark(self, key: bytes, holder: bytes | None) -> None:
        self.marks[key] = holder
        self.desk.ahead.write({key: holder})

    def _held_by_another(self, row: Row) -> bool:
        """Take the once-mark that the operation asks for; True when an earlier one has it."""
        mark = _mark_of(row.op)
        if mark is None:
            return False
        key, own = once_key(row.op["account"], mark), row.op["op_id"].encode()
        holder = self.read(key)
        others = (
            self.read(once_key(row.op["account"], other)) for other in self._marks_of_the_same(row, mark)
        )
        if any(found is not None and found != own for found in (holder, *others)):
            return True
        row.once = key
        if holder is None:
            self._mark(key, own)
        return False

    def _marks_of_the_same(self, row: Row, mark: str) -> list[str]:
        """The mark as it reads under the other names of its person: merges made one of several."""
        who, name = row.who, f"{EVER}{row.who}"
        if not mark.startswith(name):
            return []
        winner = notices.winner(who, self.read)
        first = winner["id"] if winner else who
        names = (first, *notices.absorbed(first, self.read))
        return [EVER + other + mark.removeprefix(name) for other in names if other != who]

    def take(self, topic: str, taken: Sequence[Record]) -> None:
        """Take records in, in the order of their topic."""
        position = self.positions[topic]
        rows: list[Row] = []
        for record in taken:
            start = position.take(record.offset)
            if start is None:
                continue
            try:
                op = cast("Operation", self.desk.decode(record.value))
            except Unreadable as error:
                self.jobs.drop(topic, record.offset)
                self._unreadable(record, str(error))
                position.done(start, record.offset + 1)
            else:
                row = Row(topic, start, record.offset, op, record.value, came=record.timestamp)
                row.backfill = topic.endswith(BACKFILL)
                rows.append(row)
            self.touched.add(topic)
        known = self.slot.store.get_many([sent_key(row.op["op_id"]) for row in rows])
        for row, sent in zip(rows, known, strict=True):
            self._row(row, sent is not None)

    def again(self, row: Row) -> None:
        """Take in once more what was accepted and is not to be found at Klaviyo."""
        row.again, row.tried, row.backfill = True, True, True
        prepared = self.family.prepare(row.op, self.desk.now_ms())
        if isinstance(prepared, NotSent):
            self.ended.append(dead(row, prepared.reason, prepared.detail))
            return
        self._held_by_another(row)  # the mark is its own; a dead letter frees it
        row.ready, row.size, row.ignored = prepared.ready, prepared.size, prepared.ignored
        self.lane.add(row)

    def flow(self) -> None:
        """Read a topic no further while too much of it waits, but for rows that others are held up by."""
        for topic, position in self.positions.items():
            share = 1.0 if position.full else self.lane.fullness(topic.endswith(BACKFILL))
            if topic not in self.full and share >= 1.0 and (position.full or not self._needed(topic)):
                self.full.add(topic)
                self.slot.pause(topic)
            elif topic in self.full and share < 0.5:
                self.full.discard(topic)
                self.slot.resume(topic)

    def _needed(self, topic: str) -> bool:
        """Whether rows in doubt, or of an open job, are still to be read: until then others can't go on."""
        return self.doubts.unread_of(topic) or self.jobs.unread_of(topic)

    def _row(self, row: Row, sent: bool) -> None:
        prepared = self.family.prepare(row.op, self.desk.now_ms()) if not sent else None
        if prepared is None:
            self._over(duplicate(row))
        elif isinstance(prepared, NotSent):
            self._over(dead(row, prepared.reason, prepared.detail))
        elif self._held_by_another(row):
            self._over(Settled(row, Outcome.UNCHANGED, Reason.ONCE))
        else:
            self._queue(row, prepared)

    def _over(self, end: Settled) -> None:
        self.jobs.drop(end.row.topic, end.row.offset)
        self.ended.append(end)

    def _queue(self, row: Row, prepared: Prepared) -> None:
        row.ready, row.size, row.ignored = prepared.ready, prepared.size, prepared.ignored
        if self.jobs.adopt(row):
            row.tried = True
            self.lane.adopt(row)
            return
        not_before = self.doubts.not_before(row.topic, row.offset)
        row.tried = not_before is not None
        row.tried_at = row.doubted_at = self.doubts.left_at(row.topic, row.offset)
        self.lane.add(row, not_before)

    def _unreadable(self, record: Record, why: str) -> None:
        desk = self.desk
        letter = records.unreadable(
            record.value, desk.account, desk.space, self.family.name, desk.now_ms(), why
        )
        self.unreadable.append(desk.dead_letter(letter))


def _mark_of(op: Operation) -> str | None:
    payload: Any = orjson.loads(op["payload"]) if b'"once"' in op["payload"] else None
    mark = payload.get("once") if isinstance(payload, dict) else None
    return mark if isinstance(mark, str) and mark else None
