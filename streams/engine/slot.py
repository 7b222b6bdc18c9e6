"""A slot: one partition of a stage that this process owns, with its state and its producer."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import time
from typing import Any, Final, TypeVar

import orjson

from streams.engine import changelog
from streams.engine.errors import Away, EngineError, StateMismatch
from streams.engine.inbox import Batch, Inbox, Input
from streams.engine.outbox import DEAD_LETTERS, OUTCOMES, Outbox, Position
from streams.engine.rereading import Rereader
from streams.engine.restore import restore
from streams.engine.store import Memory, Store
from streams.engine.topics import BACKFILL
from streams.engine.transactions import Transactions
from streams.engine.waiting import apart

T = TypeVar("T")
FORMAT: Final = 1
"""Version of the state's form; a store or changelog of another version stops the stage."""
REMEMBER_S: Final = 86_400.0
"""An idle slot writes its position again so often, before its changelog's retention can lose it."""
TOMBSTONES_S: Final = 2 * 86_400.0


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
    log: str = ""
    """Which changelog it is, not only by name."""


class Slot:
    """One owned partition. Its stage takes batches and commits outboxes; nobody else writes its state."""

    def __init__(self, place: Place, partition: int, source: Input) -> None:
        self.place = place
        self.stage = place.stage
        self.partition = partition
        self.inbox = Inbox(place.inputs, partition, source)
        self.store: Store
        self._transactions: Transactions
        self._source = source
        self._clock = 0
        self._positions: dict[str, Position] = {}
        self._accepted_at: dict[str, int] = {}
        self._writing = asyncio.Lock()
        self._working = threading.Lock()
        self._failed: EngineError | None = None
        self._written_at = time()

    async def open(self, restoring: asyncio.Semaphore) -> int:
        """Fence the former owner, then restore to the changelog's end; the order is what makes it safe.

        Args:
            restoring: bounds the restores at a time.

        Returns:
            The number of changelog records applied.

        Raises:
            Away: the broker does not answer.
            StateMismatch: the state has another format or was hashed by another partition count.
        """
        await self._blocking(self._fence)
        async with restoring:
            return await self._blocking(self._restore)

    async def _blocking(self, work: Callable[[], T]) -> T:
        """Run what blocks in a thread of its own: a slot that hangs holds up no other, nor the process's end.

        One after another: what nobody waits for any more goes on, and is over before the rest is closed.
        """

        def alone() -> T:
            with self._working:
                return work()

        return await apart(alone)

    def _fence(self) -> None:
        place = self.place
        self._transactions = Transactions(place.client, f"{place.prefix}{self.stage}/{self.partition}")
        self._transactions.begin()

    def _restore(self) -> int:
        place = self.place
        self.store = Store(place.folder / str(self.partition), place.memory, place.log)
        topic = f"{place.prefix}changelog.{self.stage}"
        applied = restore(place.client, topic, self.partition, self.store, place.packed, TOMBSTONES_S)
        if (raw := self.store.get(changelog.POSITION_KEY)) is not None:
            state = orjson.loads(raw)
            self._check(state)
            self._positions = state["positions"]
            self._written_at = state.get("at", 0.0)
            self._clock = state["clock"]
            self.inbox.next = {t: p if isinstance(p, int) else p["next"] for t, p in self._positions.items()}
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

    def skip(self, topic: str, first: int) -> None:
        """Go on at ``first``: what lies below was deleted. The next commit writes it down."""
        position = self._positions[topic]
        self._positions[topic] = first if isinstance(position, int) else position | {"next": first}
        self.inbox.next[topic] = first

    @property
    def revoked(self) -> asyncio.Event:
        """Set when the partition goes elsewhere."""
        return self.inbox.revoked

    def batches(self) -> AsyncIterator[Batch]:
        """Batches as they come, live ones first, and a tick every five seconds, until revoked."""
        return self.inbox.batches()

    def pause(self, topic: str) -> None:
        """Read this input no further than what was fetched."""
        self.inbox.pause(topic)

    def resume(self, topic: str) -> None:
        """Read this input on."""
        self.inbox.resume(topic)

    def rereader(self) -> Rereader:
        """A reader of this partition's inputs by offset; whoever asks for it closes it."""
        return Rereader(self.place.client, self.place.prefix, self.partition)

    async def commit(self, outbox: Outbox) -> None:
        """Write an outbox in one transaction, then locally.

        Raises:
            Fenced: the partition has another owner; nothing was written.
            Away: the broker does not answer; whether it was written shows when the slot is opened again.
        """
        async with self._writing:
            if self._failed is not None:  # what waited may rest on what was never written
                raise self._failed
            positions = self._positions | outbox.positions
            accepted_at = self._accepted_at | outbox.accepted_at
            state: dict[str, Any] = {
                "positions": positions,
                "at": time(),
                "clock": self._time(positions, accepted_at),
                "format": FORMAT,
                "partitions": self.place.partitions,
            }
            self.store.ahead = outbox.changes
            try:
                await self._blocking(partial(self._write, outbox, orjson.dumps(state)))
            except BaseException as failed:
                left = Away(f"a transaction was left: {failed!r}")
                self._failed = failed if isinstance(failed, EngineError) else left
                raise
            self.store.ahead = {}
            self._positions, self._accepted_at = positions, accepted_at
            self._clock = self._time(positions, accepted_at)  # it may have been looked at meanwhile
            self._written_at = state["at"]
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

    @property
    def clock(self) -> int:
        """Milliseconds since the epoch, as the live inputs tell: goes on without input, and never back.

        But it is never ahead of now: after a day on a machine whose clock was wrong all would be too old.
        """
        self._clock = self._time(self._positions, self._accepted_at)
        return self._clock

    def _time(self, positions: dict[str, Position], accepted_at: dict[str, int]) -> int:
        now = int(time() * 1000)
        times = []
        for topic in self.place.inputs:
            if not topic.endswith(BACKFILL):
                position = positions.get(topic) or 0
                offset = position if isinstance(position, int) else position["next"]
                accepted = min(accepted_at.get(topic, 0), now)  # a gateway's clock may be ahead
                times.append(now if self.inbox.at_end(topic, offset) else accepted)
        return max(min(self._clock, now), min(times, default=0))  # a machine's clock may have been ahead

    @property
    def forgetful(self) -> bool:
        """Whether the position was written so long ago that it should be written again."""
        return time() - self._written_at > REMEMBER_S

    async def settle(self, timeout_s: float = 2.0) -> None:
        """Wait for the transaction under way, if there is one."""
        try:
            async with asyncio.timeout(timeout_s), self._writing:
                pass
        except TimeoutError:
            pass

    async def close(self) -> None:
        """Let go of producer and folder; the state stays on disk for the next time."""
        await self._blocking(self._close)

    def _close(self) -> None:
        with ExitStack() as parts:  # the second is closed whatever the first one's end is
            for name in ("store", "_transactions"):
                if (part := getattr(self, name, None)) is not None:
                    parts.callback(part.close)
