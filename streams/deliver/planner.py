"""Which calls leave next: groups to send again first, then rows that wait, as budgets allow."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Final

from streams.deliver import grouping
from streams.deliver.budget import HORIZON_S, Budget
from streams.deliver.desk import Desk
from streams.deliver.family import Family, Read, Sorting
from streams.deliver.judge import chain
from streams.deliver.lane import Lane
from streams.deliver.row import Group, Row
from streams.klaviyo.replies import Reply
from streams.klaviyo.requests import BULK_BYTES, BULK_ROWS, ENVELOPE_BYTES, Request

MOST_CALLS: Final = 400
"""Calls of a lane in flight."""
MOST_FAILING: Final = 64
"""Groups that wait to be sent again; above it no new rows are taken."""


@dataclass(slots=True, eq=False)
class Call:
    """A group with its right to be sent: ``at`` and ``valid_until`` by the monotonic clock."""

    group: Group
    request: Request
    budget: Budget
    number: int
    at: float
    lasts: float
    valid_until: float = 0.0
    reply: Reply | None = None


@dataclass(slots=True)
class Plan:
    """What to do now: calls to make, groups with nothing to say to Klaviyo, and when to look again."""

    calls: list[Call] = field(default_factory=list)
    silent: list[Group] = field(default_factory=list)
    wake_at: float = inf


@dataclass(slots=True)
class Planner:
    """Turns a lane's backlog into calls."""

    desk: Desk
    family: Family
    lane: Lane
    new_id: Callable[[], str]
    ready: deque[Group] = field(default_factory=deque)
    """Groups to send again at once."""
    _taken: float = 0.0

    def plan(self, now: float, in_flight: int, read: Read) -> Plan:
        """Plan the calls of the next slice."""
        plan = Plan()
        self.lane.waiting(now)
        while (due := self.lane.due(now)) is not None:
            self.ready.append(due)
        room = MOST_CALLS - in_flight
        waiting: deque[Group] = deque()
        while self.ready and len(plan.calls) < room:
            group = self.ready.popleft()
            if not self._start(group, now, plan, read):
                waiting.append(group)
        self.ready.extendleft(reversed(waiting))
        while (
            len(plan.calls) < room
            and self.lane.retrying + len(waiting) < MOST_FAILING
            and len(plan.silent) < BULK_ROWS
        ):
            choice = self._choose(now)
            if choice.how is None:
                plan.wake_at = min(plan.wake_at, choice.at)
                break
            late = [
                group for group in self._take(choice.how, read) if not self._start(group, now, plan, read)
            ]
            self.ready.extend(late)
            if late:
                break
        plan.wake_at = now if len(plan.silent) >= BULK_ROWS else plan.wake_at
        return plan

    def dissolve(self) -> list[Group]:
        """Turn groups to send again into rows that wait; the groups that are no more."""
        groups = [*self.ready, *self.lane.drain()]
        self.ready.clear()
        for group in reversed(groups):
            rows = chain(group)
            self.lane.put_back(rows)
            self.lane.free({row.who for row in rows})
        return groups

    def probe(self, now: float, read: Read) -> Plan:
        """One row of a stopped lane."""
        plan = Plan()
        budget = self.desk.spending.budget(self.family.single)
        if not self.lane.waiting(now) or budget.next(now) > now + HORIZON_S:
            return plan
        if isinstance(self.family, Sorting):
            # an operation alone would go before the opposite one that waits behind it
            groups = self._sort(
                self.family, self.lane.take(BULK_ROWS, BULK_BYTES, BULK_ROWS, profiles=1), read
            )
        else:
            groups = [Group(self.new_id(), self.lane.take(1, BULK_BYTES, 1), bulk=False)]
        self.ready.extend(group for group in groups if not self._start(group, now, plan, read))
        return plan

    def _choose(self, now: float) -> grouping.Choice:
        spending, family = self.desk.spending, self.family
        waiting = self.lane.waiting(now)
        if not waiting:
            return grouping.Choice(None)
        bulk_at = spending.budget(family.bulk).next(now) if family.bulk else None
        return grouping.choose(waiting, now, spending.budget(family.single).next(now), bulk_at)

    def _take(self, how: str, read: Read) -> list[Group]:
        self._taken += self.desk.backfill_share
        backfill_first = self._taken >= 1
        if backfill_first:
            self._taken -= 1
        size = BULK_BYTES - ENVELOPE_BYTES
        if isinstance(self.family, Sorting):
            rows = self.lane.take(BULK_ROWS, size, BULK_ROWS, backfill_first=backfill_first)
            return self._sort(self.family, rows, read)
        if how == "bulk":
            rows = self.lane.take(BULK_ROWS, size, BULK_ROWS, backfill_first=backfill_first)
            return [Group(self.new_id(), rows, bulk=len(rows) > 1)]
        each = self.family.each
        rows = self.lane.take(each, BULK_BYTES, each, profiles=1, backfill_first=backfill_first)
        head: Group | None = None
        for part in reversed(self.family.cut(rows)):
            head = Group(self.new_id(), part, bulk=False, after=head)
        if head is None:
            raise AssertionError("nothing was waiting")
        return [head]

    def _sort(self, family: Sorting, rows: list[Row], read: Read) -> list[Group]:
        found = family.sort(rows, read, self.desk.now_ms())
        self.lane.put_back(found.later)
        return [Group(self.new_id(), part, bulk=len(part) > 1) for part in found.parts]

    def _start(self, group: Group, now: float, plan: Plan, read: Read) -> bool:
        """Reserve a group's call; False if its budget has to wait."""
        group.at_ms = self.desk.now_ms()
        request = self.family.request(group, read)
        if request is None:
            plan.silent.append(group)
            return True
        budget = self.desk.spending.budget(request.budget)
        lasts = self.desk.client.timeout_s(request.bulk)
        right = budget.reserve(now, lasts)
        if right is None:
            plan.wake_at = min(plan.wake_at, budget.next(now))
            return False
        plan.calls.append(Call(group, request, budget, right[0], right[1], lasts))
        return True
