"""A slot in memory: what is committed outlives the process, everything else dies with it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from streams.engine.codec import Codec
from streams.engine.inbox import Batch
from streams.engine.outbox import Outbox


class Killed(Exception):
    """kill -9."""


class LogRecord(NamedTuple):
    offset: int
    key: bytes | None
    value: bytes
    timestamp: int = 0


def codec(name: str) -> Codec:
    made = Codec(name, {})
    made.own([1])
    return made


@dataclass
class World:
    """All that is durable."""

    topics: dict[str, list[LogRecord]] = field(default_factory=dict)
    store: dict[bytes, bytes] = field(default_factory=dict)
    positions: dict[str, Any] = field(default_factory=dict)
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    dead_letters: list[dict[str, Any]] = field(default_factory=list)
    sent: dict[str, list[tuple[int, bytes | None, bytes | None]]] = field(default_factory=dict)
    commits: int = 0

    def append(self, topic: str, value: bytes, gap: int = 0) -> None:
        log = self.topics.setdefault(topic, [])
        log.append(LogRecord(log[-1].offset + 1 + gap if log else gap, None, value))

    def apply(self, outbox: Outbox) -> None:
        self.commits += 1
        for key, value in outbox.changes.items():
            if value is None:
                self.store.pop(key, None)
            else:
                self.store[key] = value
        self.positions |= outbox.positions
        for topic, records in outbox.records.items():
            self.sent.setdefault(topic, []).extend(records)
        self.outcomes += map(codec("outcome").decode, outbox.outcomes)
        self.dead_letters += map(codec("dead_letter").decode, outbox.dead_letters)

    def last(self) -> dict[str, tuple[str, str]]:
        """Delivery id → its last outcome and reason."""
        return {o["delivery_id"]: (o["outcome"], o["reason"]) for o in self.outcomes}


class FakeStore:
    def __init__(self, world: World) -> None:
        self._data = world.store

    def get(self, key: bytes) -> bytes | None:
        return self._data.get(key)

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        return [self._data.get(key) for key in keys]

    def scan(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        for key in sorted(self._data):
            if key.startswith(prefix) and key >= start and key in self._data:
                yield key, self._data[key]


class FakeMessage(NamedTuple):
    record: LogRecord

    def value(self) -> bytes:
        return self.record.value

    def offset(self) -> int:
        return self.record.offset


class FakeRereader:
    def __init__(self, world: World) -> None:
        self._world = world

    def read(self, runs: dict[str, list[list[int]]]) -> Iterator[tuple[str, FakeMessage]]:
        for topic, wanted in runs.items():
            for record in list(self._world.topics[topic]):
                if any(start <= record.offset < end for start, end in wanted):
                    yield topic, FakeMessage(record)

    def close(self) -> None:
        pass


@dataclass
class Fuse:
    """Ends the process at the n-th boundary."""

    at: int | None = None
    passed: int = 0
    burnt: asyncio.Event = field(default_factory=asyncio.Event)

    def boundary(self) -> None:
        if self.burnt.is_set():
            raise Killed
        self.passed += 1
        if self.at is not None and self.passed >= self.at:
            self.burnt.set()
            raise Killed


class FakeSlot:
    """One life of the slot."""

    stage = "deliver"
    partition = 0
    clock = 0

    def __init__(self, world: World, fuse: Fuse | None = None, batch: int = 500) -> None:
        self.world = world
        self.store = FakeStore(world)
        self.revoked = asyncio.Event()
        self.fuse = fuse or Fuse()
        self.paused: set[str] = set()
        self._batch = batch
        self._next = {t: p if isinstance(p, int) else p["next"] for t, p in world.positions.items()}
        self._taken = dict(self._next)
        self._writing = asyncio.Lock()
        self._arrived = asyncio.Event()

    def rereader(self) -> FakeRereader:
        return FakeRereader(self.world)

    def restored_position(self, topic: str) -> Any:
        return self.world.positions.get(topic)

    def arrived(self) -> None:
        self._arrived.set()

    async def batches(self) -> AsyncIterator[Batch]:
        while not self.revoked.is_set():
            found = False
            for topic, log in self.world.topics.items():
                records = [r for r in log if r.offset >= self._next.get(topic, 0)][: self._batch]
                if records and topic not in self.paused:
                    found = True
                    self._next[topic] = records[-1].offset + 1
                    yield Batch(topic, records)
                    self._taken[topic] = self._next[topic]  # whoever asks for the next has taken this
            if not found:
                self._arrived.clear()
                waits = [asyncio.ensure_future(e.wait()) for e in (self._arrived, self.revoked)]
                try:
                    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED, timeout=0.05)
                finally:
                    for wait in waits:
                        wait.cancel()

    def read_up_to(self, topic: str) -> int:
        """The offset up to which batches were taken in."""
        return int(self._taken.get(topic, 0))

    def pause(self, topic: str) -> None:
        self.paused.add(topic)

    def resume(self, topic: str) -> None:
        self.paused.discard(topic)

    async def commit(self, outbox: Outbox) -> None:
        async with self._writing:
            self.fuse.boundary()
            await asyncio.sleep(0.001)
            self.world.apply(outbox)
            self.fuse.boundary()
