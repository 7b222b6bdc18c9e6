"""How many slots a process works on at once; slots here open by themselves, without a broker."""

import asyncio
from pathlib import Path
from typing import Any

from faust.types import TP

from streams.engine.ownership import Ownership
from streams.engine.slot import Place, Slot
from streams.engine.store import Memory

INPUTS = ("segment.events", "segment.events.backfill")


class Stage:
    name = "dedupe"
    inputs = INPUTS

    async def run(self, slot: Slot) -> None:
        await slot.revoked.wait()


class Opened(Ownership):
    """Slots without producer and store."""

    async def _open(self, slot: Slot) -> bool:
        self._slots[slot.partition] = slot
        return True


def owner(most: int) -> Opened:
    place = Place("dedupe", INPUTS, "", True, 4, 4, {}, Path(), Memory())
    stage: Any = Stage()
    return Opened(place, stage, lambda why: None, most)


async def dealt(owner: Ownership, *partitions: int) -> None:
    owner.assigned({TP(topic, partition) for topic in INPUTS for partition in partitions})
    for _ in range(5):
        await asyncio.sleep(0)


async def until(owner: Ownership, slots: set[int]) -> None:
    async with asyncio.timeout(5):
        while owner._slots.keys() != slots:
            await asyncio.sleep(0.001)


async def test_slots_beyond_the_most_wait_until_others_go() -> None:
    found = owner(2)
    await dealt(found, 0, 1, 2, 3)
    await until(found, {0, 1})
    assert found._waiting == {2, 3}
    assert found.ready()
    await dealt(found, 1, 2, 3)
    await until(found, {1, 2})
    assert found._waiting == {3}
    await found.stop()


async def test_a_slot_that_goes_while_it_waits_is_never_opened() -> None:
    found = owner(1)
    await dealt(found, 0, 1)
    await until(found, {0})
    await dealt(found, 0)
    await dealt(found)
    await until(found, set())
    await dealt(found, 2)
    await until(found, {2})
    assert found._waiting == set()
    await found.stop()


async def test_stopping_does_not_wait_for_slots_that_wait() -> None:
    found = owner(1)
    await dealt(found, 0, 1)
    await until(found, {0})
    async with asyncio.timeout(1):
        await found.stop()
    assert all(life.done() for life in found._lives.values())
