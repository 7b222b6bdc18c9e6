"""The loop of one lane: results in, new calls reserved, one transaction for both, then the calls leave."""

import asyncio
from collections.abc import Sequence
from itertools import count
from math import inf
from typing import Final
from uuid import uuid4

from streams.deliver import ending, intent
from streams.deliver.budget import SLICE_S
from streams.deliver.desk import Desk
from streams.deliver.family import Family, Sorting
from streams.deliver.intake import Intake, duplicate
from streams.deliver.judge import LOW, Again, Judged, Standing, chain, judge
from streams.deliver.lane import Lane
from streams.deliver.planner import Call, Plan, Planner
from streams.deliver.row import Group, Row, Settled
from streams.engine.outbox import Outbox
from streams.engine.slot import Record, Slot
from streams.engine.telemetry import log
from streams.engine.topics import twin
from streams.klaviyo.replies import Accepted, RejectedWhole, Reply, Stopped, Throttled, Transient
from streams.ledger.reasons import Outcome, Reason

GATHER_S: Final = 0.02
GATHER_ROWS: Final = 1000
CHUNK: Final = 100
"""Records taken in at a stretch, so that other lanes' calls are not kept waiting."""
LEAD_S: Final = 0.05
"""So long before a budget allows a call its transaction is begun."""
POLL_S: Final = 1.0
"""How often a pause is looked up, at least."""
REFUSALS: Final = 20
"""So many rows running refused for no reason that names them: it is hardly the rows, the lane stops."""
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
        run, numbers = uuid4().hex[:8], count()
        self._planner = Planner(desk, family, self._lane, lambda: f"{run}-{next(numbers)}")
        self._standing = Standing(desk.tries)
        self._open: dict[asyncio.Task[None], Call] = {}
        self._results: list[Call] = []
        self._wake = asyncio.Event()
        self._wake_at = inf
        self._stopping = False
        self._stopped: str | None = None
        self._probe_at = 0.0
        self._refusals = 0
        self._ticked = False
        self._fault: Exception | None = None
        self._over: list[tuple[list[Row], bool]] = []

    async def feed(self, topic: str, taken: Sequence[Record]) -> None:
        """Take records in."""
        for at in range(0, len(taken), CHUNK):
            self._intake.take(topic, taken[at : at + CHUNK])
            self._wake.set()
            await asyncio.sleep(0)
        self._intake.flow()

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
        self._settle(outbox)
        plan = self._plan(outbox, now)
        self._silent(outbox, plan)
        for call in plan.calls:
            self._intend(outbox, call, now)
        if self._ticked:
            ending.forget_sent(outbox, self._intake)
            self._ticked = False
        ending.positions(outbox, self._intake)
        if outbox.changes or outbox.outcomes or outbox.positions or outbox.dead_letters:
            self._spendings(outbox, now)
            began = self._desk.clock()
            await self._slot.commit(outbox)
            for call in plan.calls:
                call.valid_until = began + SLICE_S
                self._open[asyncio.create_task(self._call(call))] = call
        self._committed()
        self._intake.flow()

    def _plan(self, outbox: Outbox, now: float) -> Plan:
        def read(key: bytes) -> bytes | None:
            return outbox.changes[key] if key in outbox.changes else self._slot.store.get(key)

        self._wake_at = inf
        if self._stopping or self._desk.paused(self._family.name) is not None:
            return Plan()
        if self._stopped is not None:
            for group in self._planner.dissolve():
                outbox.delete(intent.key(self._family.name, group.id))
            if now < self._probe_at or self._open:
                self._wake_at = inf if self._open else self._probe_at
                return Plan()
            plan = self._planner.probe(now, read)
            if plan.calls:
                self._probe_at = now + self._desk.probe_s
            return plan
        plan = self._planner.plan(now, len(self._open), read)
        event = self._lane.next_event()
        self._wake_at = min(plan.wake_at - LEAD_S, inf if event is None else event)
        return plan

    def _intend(self, outbox: Outbox, call: Call, now: float) -> None:
        at_ms = self._desk.now_ms()
        group = call.group
        outbox.put(intent.key(self._family.name, group.id), intent.form(group.rows, at_ms, call.lasts))
        for row in group.rows:
            ending.uncover(outbox, self._intake, row.topic, row.offset)

    def _spendings(self, outbox: Outbox, now: float) -> None:
        family = self._family
        for name in family.budgets if isinstance(family, Sorting) else (family.single, family.bulk):
            if name:
                outbox.put(*self._desk.spending.form(name, now, self._desk.now_ms()))

    async def _call(self, call: Call) -> None:
        desk = self._desk
        await asyncio.sleep(max(0.0, call.at - desk.clock()))
        try:
            if not call.budget.withheld(desk.clock()):
                call.reply = await desk.client.call(call.request, call.valid_until)
        except Exception as fault:  # a mistake of ours: its rows stay in doubt, the process must not go on
            self._fault = fault
            self._wake.set()
            return
        now = desk.clock()
        if call.reply is None:
            call.budget.unsent(call.number)
        else:
            call.budget.replied(call.number, now)
            if call.reply.window:
                call.budget.obey(call.reply.window, now)
        task = asyncio.current_task()
        if task is not None:
            self._open.pop(task, None)
        self._results.append(call)
        if len(self._results) == 1:
            asyncio.get_running_loop().call_later(GATHER_S, self._wake.set)
        elif sum(len(result.group.rows) for result in self._results) >= GATHER_ROWS:
            self._wake.set()

    def _settle(self, outbox: Outbox) -> None:
        """Write what the gathered results and the intake have ended."""
        ended, self._intake.ended = self._intake.ended, []
        self._end(outbox, ended)
        results, self._results = self._results, []
        for call in results:
            if call.reply is None:
                self._planner.ready.append(call.group)
            else:
                self._result(outbox, call)

    def _result(self, outbox: Outbox, call: Call) -> None:
        group, reply = call.group, call.reply
        if reply is None:
            return
        outbox.delete(intent.key(self._family.name, group.id))
        if call.request.asks and isinstance(reply.verdict, Accepted):
            self._learn(outbox, group, reply)
            return
        judged = judge(group, call.request, reply, self._standing)
        settled = judged.settled
        if isinstance(reply.verdict, Accepted):
            settled, changes = self._family.accepted(group, reply, settled)
            outbox.changes.update(changes)
        elif settled and isinstance(self._family, Sorting):
            refused = settled
            settled, gone = self._family.rejected(refused)
            outbox.changes.update(gone)
            over = {end.row for end in settled}
            self._lane.put_back([end.row for end in refused if end.row not in over])
        if isinstance(reply.verdict, Accepted) and self._standing.share < LOW:
            # an outage ends: what waits for its next try waits no longer
            self._planner.ready.extend(self._lane.drain())
        self._stand(call, judged)
        profiles = group.profiles()
        for again in judged.again:
            profiles -= again.group.profiles()
            self._again(outbox, again, call)
        self._lane.put_back(judged.dissolved)
        self._end(outbox, settled)
        self._lane.free(profiles)

    def _learn(self, outbox: Outbox, group: Group, reply: Reply) -> None:
        """A question was answered: what it was asked for goes on."""
        if not isinstance(self._family, Sorting):
            raise TypeError(f"{self._family.name} asks nothing")
        learned = self._family.learned(group, reply, self._desk.now_ms())
        outbox.changes.update(learned.changes)
        over = {end.row for end in learned.ended}
        profiles = group.profiles()
        group.rows = [row for row in group.rows if row not in over]
        if learned.stay and group.rows:
            profiles -= group.profiles()
            self._planner.ready.append(group)
        else:
            self._lane.put_back(group.rows)
        self._end(outbox, learned.ended)
        self._lane.free(profiles)

    def _again(self, outbox: Outbox, again: Again, call: Call) -> None:
        now = self._desk.clock()
        if again.doubt:
            at_ms = int((self._desk.wall() - (now - call.at)) * 1000)
            key = intent.key(self._family.name, again.group.id)
            outbox.put(key, intent.form(chain(again.group), at_ms, call.lasts))
        if again.wait_s <= 0:
            self._planner.ready.append(again.group)
            return
        wait = again.wait_s if again.exact else self._desk.random.uniform(0, again.wait_s)
        self._lane.again(again.group, now + wait)

    def _stand(self, call: Call, judged: Judged) -> None:
        """What the answer says about the lane and the account."""
        verdict = call.reply.verdict if call.reply else None
        if isinstance(verdict, Accepted | Transient):
            self._standing = self._standing.after(isinstance(verdict, Accepted))
        if isinstance(verdict, Throttled):
            call.budget.throttled(self._desk.clock(), verdict.retry_after)
        if isinstance(verdict, Accepted):
            self._refusals = 0
        elif isinstance(verdict, RejectedWhole) and judged.settled:
            self._refusals += 1
        why = judged.stopped
        if why is None and self._refusals >= REFUSALS:
            why = f"{self._refusals} rows running were refused, the last with {judged.settled[0].detail}"
        if why is not None:
            self._alarm(why)
        elif self._stopped is not None and not isinstance(verdict, Stopped | Transient | Throttled):
            log.info("lane_goes_on", account=self._desk.account, lane=self._family.name)
            self._stopped = None

    def _alarm(self, why: str) -> None:
        facts = {"account": self._desk.account, "lane": self._family.name, "why": why}
        if self._stopped is None:
            log.error("lane_stopped", **facts, probe_s=self._desk.probe_s)
            self._probe_at = self._desk.clock() + self._desk.probe_s
        self._stopped = why

    def _silent(self, outbox: Outbox, plan: Plan) -> None:
        """Groups with nothing to say to Klaviyo."""
        for group in plan.silent:
            ends = [Settled(row, Outcome.UNCHANGED, Reason.SAME_VALUES) for row in group.rows]
            ends, changes = self._family.accepted(group, None, ends)
            outbox.changes.update(changes)
            self._end(outbox, ends)
            if group.after is not None:
                self._planner.ready.append(group.after)
            else:
                self._lane.free(group.profiles())
            self._wake.set()

    def _end(self, outbox: Outbox, ends: Sequence[Settled]) -> None:
        ending.write(outbox, ends, self._intake)
        for sent in (True, False):
            rows = [end.row for end in ends if (end.outcome != Outcome.DEAD_LETTERED) == sent]
            if rows:
                self._over.append((rows, sent))

    def _committed(self) -> None:
        """Rows whose end is kept are forgotten; those with their ids that came meanwhile end, too."""
        over, self._over = self._over, []
        for rows, sent in over:
            again = self._lane.finished(rows, sent)
            if again or not sent:
                self._intake.ended += map(duplicate, again)
                self._wake.set()
