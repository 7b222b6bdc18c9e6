"""The loop of one lane: results in, new calls reserved, one transaction for both, then the calls leave."""

import asyncio
from collections.abc import Sequence
from itertools import count
from math import inf
from typing import Final
from uuid import uuid4

from streams.deliver import intent
from streams.deliver.budget import SLICE_S
from streams.deliver.calling import Right, within
from streams.deliver.desk import Desk
from streams.deliver.family import Asking, Family, Guarded, Intending
from streams.deliver.judge import Standing, chain
from streams.deliver.lists import guard
from streams.deliver.row import Row
from streams.deliver.sending import ending
from streams.deliver.sending.ageing import Ageing
from streams.deliver.sending.intake import Intake
from streams.deliver.sending.lane import Lane
from streams.deliver.sending.planner import Call, Plan, Planner
from streams.deliver.sending.settling import Settling
from streams.deliver.sending.upkeep import Upkeep
from streams.engine.inbox import Record
from streams.engine.outbox import Outbox
from streams.engine.slot import Slot
from streams.engine.topics import twin

GATHER_S: Final = 0.02
GATHER_ROWS: Final = 1000
CHUNK: Final = 100
"""Records taken in at a stretch, so that other lanes' calls are not kept waiting."""
LEAD_S: Final = 0.05
"""So long before a budget allows a call its transaction is begun."""
POLL_S: Final = 1.0
"""How often a pause is looked up, at least."""
LEAVE_S: Final = 2.0
"""How long the replies to open calls are waited for when the partition goes elsewhere."""


class Sender:
    """One lane. Feed it records; it runs until told to stop."""

    def __init__(self, desk: Desk, family: Family, slot: Slot) -> None:
        self._desk = desk
        self._slot = slot
        self._family = family
        topic = f"klaviyo.{family.name}"
        self.topics = (topic, twin(topic))
        self._lane = Lane()
        self._intake = Intake(desk, family, slot, self._lane)
        self._intake.restore(self.topics)
        self._upkeep = Upkeep(self._intake)
        if isinstance(family, Guarded):
            family.guard.restore(slot.store.scan(guard.prefix(family.name)))
        run, numbers = uuid4().hex[:8], count()
        self._planner = Planner(desk, family, self._lane, lambda: f"{run}-{next(numbers)}")
        self._settling = Settling(desk, family, self._lane, self._intake, self._planner, Standing(desk.tries))
        self._ageing = Ageing(self._intake, self._planner)
        desk.occupancy.lanes[family.name] = self._intake.busy
        self._open: dict[asyncio.Task[None], Call] = {}
        self._results: list[Call] = []
        self._wake = asyncio.Event()
        self._wake_at = inf
        self._stopping = False
        self._ticked = False
        self._fault: Exception | None = None

    async def feed(self, topic: str, taken: Sequence[Record]) -> None:
        """Take records in."""
        for at in range(0, len(taken), CHUNK):
            self._intake.take(topic, taken[at : at + CHUNK])
            self._wake.set()
            await asyncio.sleep(0)
        self._intake.flow()

    def again(self, row: Row) -> None:
        """Send once more what was accepted and is not to be found at Klaviyo; all other rows go first."""
        self._intake.again(row)
        self._wake.set()

    @property
    def rests(self) -> bool:
        """Whether the lane is paused, stopped or about to leave."""
        paused = self._desk.paused(self._family.name) is not None
        return paused or self._stopping or self._settling.stopped is not None

    def read(self, key: bytes) -> bytes | None:
        """The state, with what any lane is about to write."""
        return self._intake.read(key)

    def tick(self) -> None:
        """Time passed: forget what is too old."""
        self._ticked = True
        self._wake.set()

    def stop(self) -> None:
        """Send no more; replies to open calls are waited for."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Send until stopped.

        Raises:
            Fenced, Away: from the commit; nothing after it was sent.
        """
        try:
            while not (self._stopping and not self._open and not self._results):
                await self._wait()
                await self._step()
        finally:
            for task in self._open:
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)

    async def _wait(self) -> None:
        now = self._desk.clock()
        delay = min(self._wake_at, now + POLL_S) - now
        if self._results:
            delay = min(delay, GATHER_S)
        try:
            async with asyncio.timeout(max(0.0, delay)):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _step(self) -> None:
        """One transaction: what ended, what is about to be sent."""
        if self._fault is not None:
            raise self._fault
        outbox = Outbox()
        now = self._desk.clock()
        results, self._results = self._results, []
        self._planner.ready.extend(self._intake.take_adopted())
        self._settling.settle(outbox, results)
        if not self._stopping:
            self._settling.give_up(outbox, self._ageing.ended(outbox))
        plan = self._plan(outbox, now)
        self._settling.end(outbox, plan.ended)
        self._settling.silent(outbox, plan)
        if plan.silent or plan.ended:
            self._wake.set()
        for call in plan.calls:
            self._intend(outbox, call, now)
        if self._ticked:
            self._upkeep.turn(outbox)
            self._ticked = False
        ending.positions(outbox, self._intake)
        ending.marks(outbox, self._intake)
        if outbox.changes or outbox.outcomes or outbox.positions or outbox.dead_letters:
            self._spendings(outbox, now)
            if isinstance(self._family, Guarded):
                outbox.changes.update(self._family.guard.unsaved(self._family.name))
            outbox.changes.update(self._desk.newcomers.unsaved(self._family.name, self._desk.now_ms()))
            began = self._desk.clock()
            await self._slot.commit(outbox)
            for call in plan.calls:
                call.valid_until = began + SLICE_S
                self._open[asyncio.create_task(self._call(call))] = call
            self._desk.ahead.committed(outbox.changes)
        if self._settling.committed():
            self._wake.set()
        self._intake.flow()

    def _plan(self, outbox: Outbox, now: float) -> Plan:
        def read(key: bytes) -> bytes | None:
            return outbox.changes[key] if key in outbox.changes else self._intake.read(key)

        self._wake_at = inf
        if self._stopping or self._desk.paused(self._family.name) is not None:
            return Plan()
        settling = self._settling
        if settling.stopped is not None:
            for group in self._planner.dissolve():
                ending.dissolved(outbox, self._intake, group.id, chain(group))
            if self._open or (now < settling.probe_at and not self._planner.probing):
                self._wake_at = inf if self._open else settling.probe_at
                return Plan()
            plan = self._planner.probe(now, read)
            if plan.calls:
                settling.probe_at = now + self._desk.probe_s
            return plan
        plan = self._planner.plan(now, len(self._open), read)
        event = self._lane.next_event()
        self._wake_at = min(plan.wake_at - LEAD_S, inf if event is None else event)
        return plan

    def _intend(self, outbox: Outbox, call: Call, now: float) -> None:
        at_ms = self._desk.now_ms()
        group = call.group
        for row in group.rows:
            row.tried = True
            ending.uncover(outbox, self._intake, row.topic, row.offset)
        outbox.put(intent.key(self._family.name, group.id), intent.form(group.rows, at_ms, call.lasts))
        if isinstance(self._family, Intending):
            changes = self._family.intends(group, at_ms)
            outbox.changes.update(changes)
            self._desk.ahead.write(changes)

    def _spendings(self, outbox: Outbox, now: float) -> None:
        family = self._family
        for name in family.budgets if isinstance(family, Asking) else (family.single, family.bulk):
            if name:
                outbox.put(*self._desk.spending.form(name, now, self._desk.now_ms()))

    async def _call(self, call: Call) -> None:
        try:
            call.reply = await within(
                self._desk, call.request, Right(call.budget, call.number, call.at, call.valid_until)
            )
        except Exception as fault:  # a mistake of ours: its rows stay in doubt, the process must not go on
            self._fault = fault
            self._wake.set()
            return
        task = asyncio.current_task()
        if task is not None:
            self._open.pop(task, None)
        self._results.append(call)
        if len(self._results) == 1:
            asyncio.get_running_loop().call_later(GATHER_S, self._wake.set)
        elif sum(len(result.group.rows) for result in self._results) >= GATHER_ROWS:
            self._wake.set()
