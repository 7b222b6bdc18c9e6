"""Slots that hang or fail while they are opened or closed: what becomes of the others, and of the process."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import orjson
import pytest
from faust.types import TP

from streams.engine.ownership import RESTORES, Ownership
from streams.engine.slot import Place, Slot
from streams.engine.store import Memory, Store
from tests.engine.test_ownership import INPUTS, Opened, Stage, dealt, until

PARTITIONS = 40
LEAVING = """
import asyncio, sys
from pathlib import Path
from faust.types import TP
from streams.engine.ownership import Ownership
from streams.engine.slot import Place
from streams.engine.store import Memory
from tests.engine.test_ownership import INPUTS, Stage

async def main():
    nobody = {"bootstrap.servers": "127.0.0.1:1"}
    place = Place("dedupe", INPUTS, "", True, 4, 4, nobody, Path(sys.argv[1]), Memory())
    found = Ownership(place, Stage(), print)
    found.assigned({TP(topic, 0) for topic in INPUTS})
    await asyncio.sleep(0.2)
    await found.stop()

asyncio.run(main())
"""


def owner(kind: type[Ownership], ends: list[BaseException]) -> Any:
    stage: Any = Stage()
    place = Place("dedupe", INPUTS, "", True, PARTITIONS, 4, {}, Path(), Memory())
    return kind(place, stage, ends.append)


async def test_slots_that_hang_while_they_open_hold_up_no_other_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some may have no coordinator: the others are opened, and write; not all are restored at a time."""
    over, restoring, most = threading.Event(), threading.Semaphore(0), 0
    written: list[int] = []

    def fence(slot: Slot) -> None:
        if slot.partition < PARTITIONS // 2:
            over.wait(30)

    def restore(_: Slot) -> int:
        restoring.release()
        over.wait(30)
        return 0

    monkeypatch.setattr(Slot, "_fence", fence)
    monkeypatch.setattr(Slot, "_restore", restore)
    found = owner(Ownership, [])
    await dealt(found, *range(PARTITIONS))
    try:
        async with asyncio.timeout(20):
            while most < RESTORES:
                most += restoring.acquire(blocking=False)
                await asyncio.sleep(0.001)
            other = Slot(found._place, 0, found)
            await other._blocking(lambda: written.append(1))
    finally:
        over.set()
        await found.stop()
    assert written


async def test_a_slot_that_cannot_be_closed_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder and producer are held: whoever gets the partition next would wait, and nobody be told."""

    def full(_: Slot) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(Slot, "_close", full)
    ends: list[BaseException] = []
    found = owner(Opened, ends)
    await dealt(found, 0)
    await until(found, {0})
    await dealt(found)
    async with asyncio.timeout(20):
        while not ends:
            await asyncio.sleep(0.001)
    assert isinstance(ends[0], OSError)


async def test_whatever_ends_a_slot_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library's panic is no Exception."""

    class Panic(BaseException):
        pass

    def panic(_: Slot) -> None:
        raise Panic

    monkeypatch.setattr(Slot, "_fence", panic)
    ends: list[BaseException] = []
    found = owner(Ownership, ends)
    await dealt(found, 0)
    async with asyncio.timeout(20):
        while not ends:
            await asyncio.sleep(0.001)
    assert isinstance(ends[0], Panic)


def test_a_process_whose_slots_hang_while_they_open_ends_soon(tmp_path: Path) -> None:
    """No broker answers: fencing tries for minutes."""
    command = [sys.executable, "-c", LEAVING, str(tmp_path)]
    subprocess.run(command, check=True, timeout=25)


class Deleted:
    """A consumer of inputs that begin at 500, and hold nothing."""

    async def earliest_offsets(self, *tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, 500)

    def empty(self, tp: TP, position: int) -> bool:
        return position >= 500

    async def seek_wait(self, places: dict[TP, int]) -> None:
        """Where it was told."""

    def resume_partitions(self, tps: set[TP]) -> None:
        """As it was told."""


@pytest.mark.parametrize("position", [10, {"next": 10, "done": [[12, 14]]}])
async def test_what_was_skipped_once_is_written_down_though_nothing_comes(
    position: int | dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Else the next start would stop again at what is gone, and the slot's clock until a record comes."""

    def restore(slot: Slot) -> int:
        slot._positions = {INPUTS[0]: position}
        slot.inbox.next = {INPUTS[0]: 10}
        slot.store = Store(tmp_path, Memory())
        return 0

    written: list[Any] = []
    monkeypatch.setattr(Slot, "_write", lambda _, __, state: written.append(orjson.loads(state)))
    monkeypatch.setattr(Slot, "_fence", lambda _: None)
    monkeypatch.setattr(Slot, "_restore", restore)
    found = owner(Ownership, [])
    found._skip_deleted, found._owned, found.consumer = True, {0}, Deleted()
    slot = Slot(found._place, 0, found)

    assert await found._open(slot)
    (state,) = written
    assert state["positions"] == {INPUTS[0]: 500 if isinstance(position, int) else position | {"next": 500}}
    assert slot.restored_position(INPUTS[0]) == state["positions"][INPUTS[0]]
    slot.store.close()
    assert found.places({TP(INPUTS[0], 0)}) == {TP(INPUTS[0], 0): 500}


async def test_a_partition_that_was_elsewhere_while_it_was_opened_is_opened_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What was restored is from before the other owner, who fenced this one."""
    over, fenced = threading.Event(), threading.Semaphore(0)
    slots: list[Slot] = []

    def fence(slot: Slot) -> None:
        slots.append(slot)
        fenced.release()
        over.wait(30)

    monkeypatch.setattr(Slot, "_fence", fence)
    monkeypatch.setattr(Slot, "_restore", lambda _: 0)
    found = owner(Ownership, [])
    found.consumer = Deleted()
    await dealt(found, 0)
    async with asyncio.timeout(20):
        while not fenced.acquire(blocking=False):
            await asyncio.sleep(0.001)
    await dealt(found)
    await dealt(found, 0)
    over.set()
    await until(found, {0})
    assert len(slots) == 2
    assert found._slots[0] is slots[1]
    await found.stop()
