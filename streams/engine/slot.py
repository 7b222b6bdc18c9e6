"""A slot: one partition of a stage that this process owns, with its state, producer and what waits in it."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, time
from typing import Any, Final, NamedTuple, Protocol

import orjson

from streams.engine import changelog
from streams.engine.errors import StateMismatch
from streams.engine.outbox import DEAD_LETTERS, OUTCOMES, Outbox, Position
from streams.engine.restore import restore
from streams.engine.store import Memory, Store
from streams.engine.topics import BACKFILL
from streams.engine.transactions import Transactions

FORMAT: Final = 1
"""Version of the state's form; a store or changelog of another version stops the stage."""
TICK_S: Final = 5.0
BATCH_RECORDS: Final = 2000
WAITING_BYTES: Final = 16 << 20
"""Above this an input is read no further until half of it is processed."""
REMEMBER_S: Final = 86_400.0
"""An idle slot writes its position again so often, before its changelog's retention can lose it."""
BACKFILL_RECORDS: Final = 200
BACKFILL_S: Final = 1.0
"""However busy live is, one backfill batch passes in this time; more when every live input is empty."""
LOOK_S: Final = 0.05
"""How often a waiting backfill batch looks whether live is empty."""
TOMBSTONES_S: Final = 2 * 86_400.0


class Record(Protocol):
    """What a stage reads of a consumed record."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes


class Batch(NamedTuple):
    """Records of one input, ascending offsets. Without records it is a tick: time passes without input."""

    topic: str
    records: Sequence[Record]

    @property
    def backfill(self) -> bool:
        """Whether it came by a backfill twin."""
        return self.topic.endswith(BACKFILL)

    def onward(self, topic: str) -> str:
        """Where its records go on: the topic, or its twin for what came by one."""
        return topic + BACKFILL if self.backfill else topic


@dataclass(frozen=True, slots=True)
class Place:
    """Where a slot works: names that are the same for all slots of a stage."""

    stage: str
    inputs: tuple[str, ...]
    prefix: str
    packed: bool
    partitions: int
    """What the state is hashed by; 0 where partitions are numbered slots, which grow."""
    ledger_partitions: int
    client: dict[str, Any]
    folder: Path
    memory: Memory


class Input(Protocol):
    """The consumer's side of a slot."""

    def pause(self, topic: str, partition: int) -> None:
        """Read no further."""

    def resume(self, topic: str, partition: int) -> None:
        """Read on."""

    def committed(self, topic: str, partition: int, offset: int) -> None:
        """Everything below is done: for lag displays."""

    def empty(self, topic: str, partition: int, position: int) -> bool:
        """Whether nothing lies behind ``position``, from a fetch younger than a second."""


class Slot:
    """One owned partition. Its stage takes batches and commits outboxes; nobody else writes its state."""

    def __init__(self, place: Place, partition: int, source: Input) -> None:
        self.place = place
        self.stage = place.stage
        self.partition = partition
        self.revoked = asyncio.Event()
        self.clock = 0
        self.next: dict[str, int] = {}
        """Logical topic → next offset to take in; a topic that was never read is not in it."""
        self.store: Store
        self._transactions: Transactions
        self._source = source
        self._positions: dict[str, Position] = {}
        self._accepted_at: dict[str, int] = {}
        self._live: deque[Batch] = deque()
        self._backfill: deque[Batch] = deque()
        self._backfill_due = 0.0
        self._bytes: dict[str, int] = dict.fromkeys(place.inputs, 0)
        self._paused: set[str] = set()
        self._held = False
        self._arrived = asyncio.Event()
        self._writing = asyncio.Lock()
        self._written_at = monotonic()

    async def open(self) -> int:
        """Fence the former owner, then restore to the changelog's end; the order is what makes it safe.

        Returns:
            The number of changelog records applied.

        Raises:
            Away: the broker does not answer.
            StateMismatch: the state has another format or was hashed by another partition count.
        """
        return await asyncio.to_thread(self._open)

    def _open(self) -> int:
        place = self.place
        self._transactions = Transactions(place.client, f"{place.prefix}{self.stage}/{self.partition}")
        self._transactions.begin()
        self.store = Store(place.folder / str(self.partition), place.memory)
        topic = f"{place.prefix}changelog.{self.stage}"
        applied = restore(place.client, topic, self.partition, self.store, place.packed, TOMBSTONES_S)
        if (raw := self.store.get(changelog.POSITION_KEY)) is not None:
            state = orjson.loads(raw)
            self._check(state)
            self._positions = state["positions"]
            self.clock = state["clock"]
            self.next = {t: p if isinstance(p, int) else p["next"] for t, p in self._positions.items()}
        return applied

    def _check(self, state: dict[str, Any]) -> None:
        found = state.get("format"), state.get("partitions")
        if found != (FORMAT, self.place.partitions):
            raise StateMismatch(
                f"{self.stage}/{self.partition}: the state has format and partition count {found}, this "
                f"version works with {(FORMAT, self.place.partitions)}. Run the version that wrote it until "
                "its input is empty, or give the new one another prefix."
            )

    def restored_position(self, topic: str) -> Position | None:
        """The position of an input as the changelog has it; None when it was never read."""
        return self._positions.get(topic)

    def arrive(self, topic: str, records: Sequence[Record]) -> None:
        """Take in fetched records; those below the next offset were taken before."""
        expected = self.next.get(topic, 0)
        if records[0].offset < expected:
            records = [record for record in records if record.offset >= expected]
        if not records:
            return
        self.next[topic] = records[-1].offset + 1
        batch = Batch(topic, records)
        (self._backfill if batch.backfill else self._live).append(batch)
        self._bytes[topic] += _size(records)
        if self._bytes[topic] > WAITING_BYTES:
            self._source.pause(topic, self.partition)
        self._arrived.set()

    async def batches(self) -> AsyncIterator[Batch]:
        """Batches as they come, live ones first, and a tick every five seconds, until revoked."""
        next_tick = monotonic() + TICK_S
        while not self.revoked.is_set():
            if monotonic() >= next_tick:
                next_tick = monotonic() + TICK_S
                yield Batch("", ())
            elif (waiting := self._due()) is not None:
                yield self._take(waiting)
            else:
                self._arrived.clear()
                wait_s = next_tick - monotonic()
                try:
                    async with asyncio.timeout(min(wait_s, LOOK_S) if self._backfill else wait_s):
                        await self._arrived.wait()
                except TimeoutError:
                    pass

    def _due(self) -> deque[Batch] | None:
        """The queue whose turn it is: backfill when its second has passed or every live input is empty."""
        if self._held:
            return None
        if self._backfill and (monotonic() >= self._backfill_due or self._all_empty()):
            return self._backfill
        return self._live or None

    def _all_empty(self) -> bool:
        return not self._live and all(
            self._source.empty(topic, self.partition, self.next.get(topic, 0))
            for topic in self.place.inputs
            if not topic.endswith(BACKFILL)
        )

    def _take(self, waiting: deque[Batch]) -> Batch:
        most = BATCH_RECORDS
        if waiting is self._backfill:
            most, self._backfill_due = BACKFILL_RECORDS, monotonic() + BACKFILL_S
        topic, records = waiting.popleft()
        while waiting and len(records) < most and waiting[0].topic == topic:
            records = [*records, *waiting.popleft().records]
        if len(records) > most:
            waiting.appendleft(Batch(topic, records[most:]))
            records = records[:most]
        self._bytes[topic] -= _size(records)
        if self._bytes[topic] < WAITING_BYTES // 2 and topic not in self._paused:
            self._source.resume(topic, self.partition)
        return Batch(topic, records)

    def pause(self, topic: str) -> None:
        """Read this input no further than what was fetched."""
        self._paused.add(topic)
        self._source.pause(topic, self.partition)

    def resume(self, topic: str) -> None:
        """Read this input on."""
        self._paused.discard(topic)
        self._source.resume(topic, self.partition)

    def readable(self, topic: str) -> bool:
        """Whether the input may be fetched now."""
        return topic not in self._paused and self._bytes[topic] <= WAITING_BYTES

    async def commit(self, outbox: Outbox) -> None:
        """Write an outbox in one transaction, then locally.

        Raises:
            Fenced: the partition has another owner; nothing was written.
            Away: the broker does not answer; whether it was written shows when the slot is opened again.
        """
        async with self._writing:
            positions = self._positions | outbox.positions
            accepted_at = self._accepted_at | outbox.accepted_at
            clock = self._clock(positions, accepted_at)
            state = {
                "positions": positions,
                "clock": clock,
                "format": FORMAT,
                "partitions": self.place.partitions,
            }
            await asyncio.to_thread(self._write, outbox, orjson.dumps(state))
            self._positions, self._accepted_at, self.clock = positions, accepted_at, clock
            self._written_at = monotonic()
        for topic, position in outbox.positions.items():
            offset = position if isinstance(position, int) else position["next"]
            self._source.committed(topic, self.partition, offset)

    def _write(self, outbox: Outbox, position: bytes) -> None:
        place = self.place
        own = self.partition % place.ledger_partitions
        records = [(place.prefix + topic, batch) for topic, batch in outbox.records.items()]
        for topic, values in ((OUTCOMES, outbox.outcomes), (DEAD_LETTERS, outbox.dead_letters)):
            if values:
                records.append((place.prefix + topic, [(own, None, value) for value in values]))
        log = changelog.records(outbox.changes, position, place.packed)
        records.append(
            (f"{place.prefix}changelog.{self.stage}", [(self.partition, *record) for record in log])
        )
        offset = self._transactions.write(records)
        changes = [*outbox.changes.items(), (changelog.POSITION_KEY, position)]
        self.store.write(changes, offset + 1)

    def _clock(self, positions: dict[str, Position], accepted_at: dict[str, int]) -> int:
        now = int(time() * 1000)
        waiting = {batch.topic for batch in self._live}
        times = []
        for topic in self.place.inputs:
            if topic.endswith(BACKFILL):
                continue
            position = positions.get(topic)
            offset = position if isinstance(position, int) else position["next"] if position else None
            at_end = topic not in waiting and self._source.empty(topic, self.partition, offset or 0)
            times.append(now if at_end else accepted_at.get(topic, 0))
        return max(self.clock, min(times, default=0))

    @property
    def forgetful(self) -> bool:
        """Whether the position was written so long ago that it should be written again."""
        return monotonic() - self._written_at > REMEMBER_S

    def hold(self) -> None:
        """Hand out no further batch: the group is dealing partitions anew."""
        self._held = True

    def release(self) -> None:
        """Hand out batches again: the partition stayed here."""
        self._held = False
        self._arrived.set()

    async def settle(self, timeout_s: float = 2.0) -> None:
        """Wait for the transaction under way, if there is one."""
        try:
            async with asyncio.timeout(timeout_s), self._writing:
                pass
        except TimeoutError:
            pass

    def revoke(self) -> None:
        """End the batches: the partition goes elsewhere."""
        self.revoked.set()
        self._arrived.set()

    async def close(self) -> None:
        """Let go of producer and folder; the state stays on disk for the next time."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        for name in ("_transactions", "store"):
            if (part := getattr(self, name, None)) is not None:
                part.close()


def _size(records: Sequence[Record]) -> int:
    return sum(len(record.value or b"") for record in records)
