"""How many slots a process works on at once; slots here open by themselves, without a broker."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from streams.engine import ownership
from streams.engine.inbox import Fetched
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
    return Opened(place, stage, lambda why: None, most=most)


async def dealt(owner: Ownership, *partitions: int) -> None:
    owner.assigned({TP(topic, partition) for topic in INPUTS for partition in partitions})
    for _ in range(5):
        await asyncio.sleep(0)


async def until(owner: Ownership, slots: set[int]) -> None:
    async with asyncio.timeout(20):
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
    async with asyncio.timeout(20):
        await found.stop()
    assert all(life.done() for life in found._lives.values())


class Sought:
    """A consumer that notes where it was told to read on."""

    def __init__(self) -> None:
        self.places: list[Mapping[TP, int]] = []
        self.ends: dict[TP, int] = {}
        """Where ended what was fetched last."""

    def assignment(self) -> set[TP]:
        return set(self.ends)

    def behind(self, tp: TP) -> int:
        return self.ends[tp]

    async def seek_wait(self, places: Mapping[TP, int]) -> None:
        self.places.append(places)


def fetched(start: int, first: int, end: int) -> Fetched:
    records: list[Any] = [SimpleNamespace(offset=n, value=b"") for n in range(first, end)]
    return Fetched(start, records)


async def test_what_was_on_its_way_when_a_slot_was_opened_again_passes_over_nothing() -> None:
    """The slot stands at 500; what was fetched for the one before it, from 700 on, is read again."""
    found, tp = owner(1), TP(INPUTS[0], 0)
    found.consumer = consumer = Sought()
    await dealt(found, 0)
    await until(found, {0})
    inbox = found._slots[0].inbox
    inbox.next[INPUTS[0]] = 500

    await found.arrive(tp, fetched(700, 700, 800))
    assert inbox.next[INPUTS[0]] == 500
    assert consumer.places == [{tp: 500}]

    await found.arrive(tp, fetched(500, 503, 600))  # three are transactions' markers
    await found.arrive(tp, fetched(600, 601, 650))
    assert inbox.next[INPUTS[0]] == 650
    assert len(consumer.places) == 1
    await found.stop()


async def test_what_was_fetched_and_dropped_on_its_way_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may come behind it for hours that would tell of the gap."""
    monkeypatch.setattr(ownership, "LOST_S", 0.0)
    found, (lost, coming) = owner(1), (TP(topic, 0) for topic in INPUTS)
    found.consumer = consumer = Sought()
    consumer.ends = {lost: 500, coming: 500, TP(INPUTS[0], 1): 500}
    await dealt(found, 0)
    await until(found, {0})
    inbox = found._slots[0].inbox
    inbox.next |= {lost.topic: 400, coming.topic: 400}

    await found.recover()
    assert consumer.places == []  # it may be in Faust's queue
    inbox.next[coming.topic] = 450
    await found.recover()
    assert consumer.places == [{lost: 400}]

    inbox.next |= {lost.topic: 500, coming.topic: 500}
    for _ in range(3):
        await found.recover()
    assert len(consumer.places) == 1
    await found.stop()


async def test_what_is_on_its_way_has_its_time() -> None:
    found, tp = owner(1), TP(INPUTS[0], 0)
    found.consumer = consumer = Sought()
    consumer.ends = {tp: 500}
    await dealt(found, 0)
    await until(found, {0})
    found._slots[0].inbox.next[tp.topic] = 400
    for _ in range(3):
        await found.recover()
    assert consumer.places == []
    await found.stop()


async def test_a_slot_of_which_an_input_is_elsewhere_is_not_opened_and_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ownership, "DIVIDED_S", 0.01)
    found = owner(2)
    found.assigned({TP(INPUTS[0], 0), TP(INPUTS[1], 0), TP(INPUTS[0], 1)})
    await until(found, {0})

    async with asyncio.timeout(20):
        while "slot_divided" not in caplog.messages:
            await asyncio.sleep(0.001)
    assert found._slots.keys() == {0}
    await found.stop()


async def test_a_slot_that_is_whole_again_in_time_is_not_told() -> None:
    found = owner(2)
    found.assigned({TP(INPUTS[0], 1)})
    alarm = found._alarm
    await dealt(found, 1)
    await until(found, {1})
    assert alarm is not None
    assert alarm.cancelled()
    assert found._alarm is None
    await found.stop()
