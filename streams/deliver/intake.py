"""From records to rows that wait: decoded, checked, and known ids turned away."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from streams.deliver import intent, records
from streams.deliver.desk import Desk
from streams.deliver.family import Family, NotSent
from streams.deliver.intent import Doubts
from streams.deliver.judge import dead
from streams.deliver.lane import Lane
from streams.deliver.position import Position
from streams.deliver.row import Row, Settled
from streams.engine.errors import Unreadable
from streams.engine.slot import Record, Slot
from streams.engine.topics import BACKFILL
from streams.klaviyo.operation import Operation
from streams.ledger.reasons import Outcome, Reason


def sent_key(op_id: str) -> bytes:
    """Where an op id that was delivered is remembered; the value is the day since the epoch."""
    return b"s/" + op_id.encode()


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

    def restore(self, topics: Sequence[str]) -> None:
        """Read positions and the intents that had no result."""
        self.positions = {topic: Position.restored(self.slot.restored_position(topic)) for topic in topics}
        intents = self.slot.store.scan(intent.prefix(self.family.name))
        self.doubts = Doubts.restored(intents, self.desk.clock(), self.desk.now_ms())
        self.stale = self.doubts.settle(lambda topic, offset: self.positions[topic].holds(offset))

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
                self._unreadable(record, str(error))
                position.done(start, record.offset + 1)
            else:
                rows.append(
                    Row(topic, start, record.offset, op, record.value, backfill=topic.endswith(BACKFILL))
                )
            self.touched.add(topic)
        known = self.slot.store.get_many([sent_key(row.op["op_id"]) for row in rows])
        for row, sent in zip(rows, known, strict=True):
            self._row(row, sent is not None)

    def flow(self) -> None:
        """Read a topic no further while too much of it waits."""
        for topic, position in self.positions.items():
            share = 1.0 if position.full else self.lane.fullness(topic.endswith(BACKFILL))
            if topic not in self.full and share >= 1.0:
                self.full.add(topic)
                self.slot.pause(topic)
            elif topic in self.full and share < 0.5:
                self.full.discard(topic)
                self.slot.resume(topic)

    def _row(self, row: Row, sent: bool) -> None:
        if sent:
            self.ended.append(duplicate(row))
            return
        prepared = self.family.prepare(row.op, self.desk.now_ms())
        if isinstance(prepared, NotSent):
            self.ended.append(dead(row, prepared.reason, prepared.detail))
            return
        row.ready, row.size, row.ignored = prepared.ready, prepared.size, prepared.ignored
        self.lane.add(row, self.doubts.not_before(row.topic, row.offset))

    def _unreadable(self, record: Record, why: str) -> None:
        desk = self.desk
        letter = records.unreadable(
            record.value, desk.account, desk.space, self.family.name, desk.now_ms(), why
        )
        self.unreadable.append(desk.dead_letter(letter))
