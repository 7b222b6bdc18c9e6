"""Batches in, transactions out: the next batch is worked out while the one before is written."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from streams.engine.codec import Codec
from streams.engine.errors import Fenced, Unreadable
from streams.engine.inbox import Batch
from streams.engine.outbox import Outbox
from streams.engine.registry import Registry
from streams.engine.slot import Slot
from streams.engine.stage import run_batches
from streams.engine.store import Memory, Store

RECORD = SimpleNamespace(value=b"", offset=0)
TICK = Batch("", ())


class WrittenSlowly:
    """A slot with a backlog; each commit waits until the test lets it end."""

    forgetful = False

    def __init__(self, folder: Path, batches: list[Batch]) -> None:
        self.store = Store(folder, Memory())
        self.inbox = self
        self.waiting = True
        self._batches = batches
        self.told: list[str] = []
        self.ends: list[asyncio.Future[None]] = [asyncio.Future() for _ in batches]
        self._writing = 0

    async def batches(self) -> AsyncIterator[Batch]:
        for left, batch in enumerate(reversed(self._batches)):
            self.waiting = len(self._batches) - left > 1
            yield batch

    async def arrival(self, unless: "asyncio.Task[None]") -> None:
        await asyncio.sleep(0)
        while not (self.waiting or unless.done()):
            await asyncio.sleep(0)

    def tick_again(self) -> None:
        self.told.append("tick again")

    async def commit(self, outbox: Outbox) -> None:
        number, self._writing = self._writing, self._writing + 1
        self.told.append(f"begin {number}")
        self.store.ahead = outbox.changes
        await self.ends[number]
        self.store.write(outbox.changes.items(), number)
        self.store.ahead = {}
        self.told.append(f"end {number}")


class NothingToLearn:
    """A registry that knows every schema."""

    async def learn(self, values: Any) -> None:
        """Nothing."""


async def running(slot: WrittenSlowly) -> "asyncio.Task[None]":
    """A stage that counts its batches in the state, and tells what it read."""

    def step(batch: Batch, slot_: Slot) -> Outbox:
        count = int(slot_.store.get(b"count") or 0)
        assert slot_.store.get_many([b"count", b"none"])[1] is None
        scanned = dict(slot_.store.scan(b"count"))
        slot.told.append(f"step reads {count}" if batch.records else f"tick scans {scanned}")
        outbox = Outbox()
        outbox.put(b"count", b"%d" % (count + 1))
        return outbox

    task = asyncio.create_task(run_batches(cast("Slot", slot), cast("Registry", NothingToLearn()), step))
    for _ in range(10):
        await asyncio.sleep(0)
    return task


async def test_the_next_batch_is_worked_out_on_what_is_being_written(tmp_path: Path) -> None:
    slot = WrittenSlowly(tmp_path, [Batch("t", [RECORD])] * 3)

    task = await running(slot)
    assert slot.told == ["step reads 0", "begin 0", "step reads 1"]

    for end in slot.ends:
        end.set_result(None)
    await task
    assert slot.told[3:] == ["end 0", "begin 1", "end 1", "step reads 2", "begin 2", "end 2"]
    slot.store.close()


async def test_a_tick_waits_for_what_is_being_written(tmp_path: Path) -> None:
    slot = WrittenSlowly(tmp_path, [TICK, Batch("t", [RECORD])])

    task = await running(slot)
    assert slot.told == ["step reads 0", "begin 0"]

    for end in slot.ends:
        end.set_result(None)
    await task
    assert slot.told[2:5] == ["end 0", "tick scans {b'count': b'1'}", "tick again"]
    slot.store.close()


async def test_what_was_worked_out_on_a_failed_transaction_is_never_written(tmp_path: Path) -> None:
    slot = WrittenSlowly(tmp_path, [Batch("t", [RECORD])] * 2)

    task = await running(slot)
    assert slot.told == ["step reads 0", "begin 0", "step reads 1"]

    slot.ends[0].set_exception(Fenced("another owner"))
    with pytest.raises(Fenced):
        await task
    assert len(slot.told) == 3
    assert slot.store.reflects() is None
    slot.store.close()


class KnowsLater:
    """A registry that knows a schema once it was asked for it."""

    def __init__(self) -> None:
        self.writers: dict[int, Any] = {}

    async def learn(self, values: Any) -> None:
        for value in values:
            self.writers |= {} if not value else {int.from_bytes(value[1:5]): None}


async def test_a_schema_that_only_shows_inside_a_record_is_learned(tmp_path: Path) -> None:
    """After an upgrade an event inside a record, or one held in the state, has the older schema."""
    slot = WrittenSlowly(tmp_path, [Batch("t", [RECORD])])
    slot.ends[0].set_result(None)
    registry = KnowsLater()
    codec = Codec("envelope", registry.writers)
    asked: list[str] = []

    def step(batch: Batch, slot_: Slot) -> Outbox:
        asked.append("asked")
        with pytest.raises(Unreadable):
            codec.decode(b"\0\0\0\0\x07...")
        return Outbox()

    await run_batches(cast("Slot", slot), cast("Registry", registry), step)

    assert registry.writers == {7: None}
    assert asked == ["asked", "asked"]
    slot.store.close()
