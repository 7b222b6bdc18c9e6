"""What waits in a slot: batches in the order they came, live ones before backfill, bounded in bytes."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from time import monotonic
from typing import Any, Final, NamedTuple, Protocol

from streams.engine.topics import BACKFILL

TICK_S: Final = 5.0
TICK_AGAIN_S: Final = 0.25
"""After a tick that had something to do: it does so much at a time, and there may be more."""
BATCH_RECORDS: Final = 2000
BATCH_BYTES: Final = 4 << 20
"""A batch has no more, but for one record that has more by itself: what it becomes has a bound, too."""
WAITING_BYTES: Final = 8 << 20
"""Above this an input is read no further until half of it is processed."""
BESIDE_BYTES: Final = 350
"""Of memory, beside its value: the object, its key and numbers."""
BACKFILL_RECORDS: Final = 200
BACKFILL_S: Final = 1.0
"""However busy live is, one backfill batch passes in this time; more when every live input is empty."""
LOOK_S: Final = 0.05
"""How often a waiting backfill batch looks whether live is empty."""


class Record(Protocol):
    """What a stage reads of a consumed record."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes
    """Of a consumed record None, too; of one that a stage is handed never."""


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


class Fetched(NamedTuple):
    """Records of one fetch, and the offset it began at: between that and the first there is none."""

    start: int
    records: Sequence[Record]


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


class Inbox:
    """The waiting batches of one slot. Times are the monotonic clock's, seconds."""

    def __init__(self, inputs: tuple[str, ...], partition: int, source: Input) -> None:
        self.next: dict[str, int] = {}
        """Logical topic → next offset to take in; a topic that was never read is not in it."""
        self.revoked = asyncio.Event()
        self._inputs = inputs
        self._partition = partition
        self._source = source
        self._live: deque[Batch] = deque()
        self._backfill: deque[Batch] = deque()
        self._backfill_due = 0.0
        self._bytes: dict[str, int] = dict.fromkeys(inputs, 0)
        self._paused: set[str] = set()
        self._held = False
        self._next_tick = 0.0
        self._arrived = asyncio.Event()

    def arrive(self, topic: str, records: Sequence[Record]) -> None:
        """Take in fetched records; those below the next offset were taken before."""
        expected = self.next.get(topic, 0)
        if records[0].offset < expected:
            records = [record for record in records if record.offset >= expected]
        if not records:
            return
        for record in records:
            if record.value is None:  # none of ours: unreadable, as an empty one is
                record.value = b""
        self.next[topic] = records[-1].offset + 1
        batch = Batch(topic, records)
        (self._backfill if batch.backfill else self._live).append(batch)
        self._bytes[topic] += _size(records)
        if self._bytes[topic] > WAITING_BYTES:
            self._source.pause(topic, self._partition)
        self._arrived.set()

    async def batches(self) -> AsyncIterator[Batch]:
        """Batches as they come, live ones first, and a tick every five seconds, until revoked."""
        self._next_tick = monotonic() + TICK_S
        while not self.revoked.is_set():
            if monotonic() >= self._next_tick:
                self._next_tick = monotonic() + TICK_S
                yield Batch("", ())
            elif (waiting := self._due()) is not None:
                yield self._take(waiting)
            else:
                self._arrived.clear()
                wait_s = self._next_tick - monotonic()
                try:
                    async with asyncio.timeout(min(wait_s, LOOK_S) if self._backfill else wait_s):
                        await self._arrived.wait()
                except TimeoutError:
                    pass

    def tick_again(self) -> None:
        """Let the next tick come soon."""
        self._next_tick = monotonic() + TICK_AGAIN_S

    def _due(self) -> deque[Batch] | None:
        """The queue whose turn it is: backfill when its second has passed or every live input is empty."""
        if self._held:
            return None
        backfill = self._first(self._backfill) is not None
        if backfill and (monotonic() >= self._backfill_due or self._all_empty()):
            return self._backfill
        return self._live if self._first(self._live) is not None else None

    def _first(self, waiting: deque[Batch]) -> int | None:
        """Where the first batch of an input that is not paused stands."""
        return next((at for at, batch in enumerate(waiting) if batch.topic not in self._paused), None)

    def _all_empty(self) -> bool:
        return not self._live and all(
            self._source.empty(topic, self._partition, self.next.get(topic, 0))
            for topic in self._inputs
            if not topic.endswith(BACKFILL)
        )

    def _take(self, waiting: deque[Batch]) -> Batch:
        most = BATCH_RECORDS
        if waiting is self._backfill:
            most, self._backfill_due = BACKFILL_RECORDS, monotonic() + BACKFILL_S
        at = self._first(waiting) or 0
        topic, records = waiting[at]
        del waiting[at]
        while at < len(waiting) and waiting[at].topic == topic:
            if not _fitting(records, most) == len(records) < most:
                break
            records = [*records, *waiting[at].records]
            del waiting[at]
        fit = _fitting(records, most)
        if len(records) > fit:
            waiting.insert(at, Batch(topic, records[fit:]))
            records = records[:fit]
        self._bytes[topic] -= _size(records)
        if self._bytes[topic] < WAITING_BYTES // 2 and topic not in self._paused:
            self._source.resume(topic, self._partition)
        return Batch(topic, records)

    def pause(self, topic: str) -> None:
        """Hand out no more of this input, and read it no further."""
        self._paused.add(topic)
        self._source.pause(topic, self._partition)

    def resume(self, topic: str) -> None:
        """Read this input on."""
        self._paused.discard(topic)
        if self._bytes[topic] <= WAITING_BYTES:
            self._source.resume(topic, self._partition)
        self._arrived.set()

    def readable(self, topic: str) -> bool:
        """Whether the input may be fetched now."""
        return topic not in self._paused and self._bytes[topic] <= WAITING_BYTES

    async def arrival(self, unless: "asyncio.Task[Any]") -> None:
        """Wait for a batch that may be handed out, or until a task is over; the task runs in any case."""
        unless.add_done_callback(lambda _: self._arrived.set())
        await asyncio.sleep(0)
        while self._due() is None and not unless.done():
            self._arrived.clear()
            await self._arrived.wait()

    def at_end(self, topic: str, position: int) -> bool:
        """Whether nothing of an input is left to do: none waits here, none lies behind ``position``."""
        waiting = any(batch.topic == topic for batch in self._live)
        return not waiting and self._source.empty(topic, self._partition, position)

    def hold(self) -> None:
        """Hand out no further batch: the group is dealing partitions anew."""
        self._held = True

    def release(self) -> None:
        """Hand out batches again: the partition stayed here."""
        self._held = False
        self._arrived.set()

    def revoke(self) -> None:
        """End the batches: the partition goes elsewhere."""
        self.revoked.set()
        self._arrived.set()


def _fitting(records: Sequence[Record], most: int) -> int:
    """How many of the first records a batch may have."""
    size = 0
    for number, record in enumerate(records[:most]):
        size += len(record.value)
        if size > BATCH_BYTES:
            return max(number, 1)
    return min(len(records), most)


def _size(records: Sequence[Record]) -> int:
    """Bytes of memory."""
    return sum(len(record.value) for record in records) + BESIDE_BYTES * len(records)
