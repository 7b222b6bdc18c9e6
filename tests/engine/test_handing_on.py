"""From the broker to what a slot has done, whatever happens between: each record once, in order."""

import asyncio
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from faust.types import TP
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.engine import ownership
from streams.engine.inbox import Fetched, Inbox
from streams.engine.ownership import Ownership
from streams.engine.slot import Place
from streams.engine.store import Memory
from tests.engine.fetching import A, Life


class Line:
    """One input of one slot, from the broker to what the slot has done; each move is one that may happen."""

    def __init__(self, life: Life) -> None:
        self.life = life
        place = Place("deliver", (A.topic,), "", False, 0, 1, {}, Path(), Memory())
        stage: Any = SimpleNamespace(name="deliver")
        self.owner = Ownership(place, stage, lambda why: None)
        self.owner.consumer = self
        self.coming: deque[Fetched] = deque()
        self.done: list[int] = []
        self.inbox: Inbox
        self.end = 0

    def write(self) -> None:
        """Some records, and sometimes markers before them."""
        start = self.end + self.end % 3
        self.life.broker.write(A, start, start + 4)
        self.end = start + 4

    async def open(self) -> None:
        """The slot is opened, again perhaps: what it had not done is gone from memory."""
        self.inbox = Inbox((A.topic,), 0, self.owner)
        self.inbox.next[A.topic] = self.done[-1] + 1 if self.done else 0
        self.owner._slots[0] = cast("Any", SimpleNamespace(inbox=self.inbox))
        await self.seek_wait(self.owner.places({A}))
        self.resume_partitions({A})

    async def deal(self, committed: int) -> None:
        """The group deals anew: the library begins anywhere, then the slots' positions are sought."""
        self.life.assign(A)
        self.life.subscription.subscription.assignment.state_value(A).seek(committed)
        await self.fetch()
        await self.seek_wait(self.owner.places({A}))

    async def fetch(self) -> None:
        if self.life.active:
            self.coming.extend((await self.life.fetch(0.001)).values())

    async def arrive(self) -> None:
        if self.coming:
            await self.owner.arrive(A, self.coming.popleft())

    def drop(self) -> None:
        """Faust may lose one on its way."""
        if self.coming:
            self.coming.popleft()

    async def work(self) -> None:
        if self.inbox._due() is not None:
            async for batch in self.inbox.batches():
                self.done += [record.offset for record in batch.records]
                return

    async def finish(self) -> None:
        """Nothing more happens: all that was written is done, once and in order."""
        self.inbox.resume(A.topic)
        async with asyncio.timeout(10):
            while self.done != self.life.broker.logs[A]:
                assert self.done == self.life.broker.logs[A][: len(self.done)]
                await self.fetch()
                await self.arrive()
                await self.work()
                if not self.coming:
                    await self.owner.recover()

    async def seek_wait(self, places: dict[TP, int]) -> None:
        await self.life.thread.seek_wait(places)

    def pause_partitions(self, tps: set[TP]) -> None:
        self.life.active -= tps

    def resume_partitions(self, tps: set[TP]) -> None:
        self.life.active |= self.owner.readable(tps)

    def assignment(self) -> set[TP]:
        return {A}

    def behind(self, tp: TP) -> int:
        return cast("int", self.life.thread.behind(tp))


MOVES = ("write", "fetch", "arrive", "work", "drop", "open", "deal", "pause", "resume")


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(MOVES), st.integers(0, 40)), max_size=40))
async def test_whatever_happens_each_record_is_done_once_and_in_order(moves: list[tuple[str, int]]) -> None:
    life = Life()
    line = Line(life)
    try:
        await life.deal({A: 0})
        await line.open()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ownership, "LOST_S", 0.0)
            for move, number in moves:
                if move == "deal":
                    await line.deal(min(number, line.end))
                elif move in ("pause", "resume"):
                    getattr(line.inbox, move)(A.topic)
                elif asyncio.iscoroutine(moving := getattr(line, move)()):
                    await moving
                assert line.done == life.broker.logs[A][: len(line.done)]
            await line.finish()
    finally:
        await life.close()
