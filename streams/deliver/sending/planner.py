"""Which calls leave next: groups to send again first, then rows that wait, as budgets allow."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Final

from streams.deliver import notices
from streams.deliver.budget import HORIZON_S, Budget
from streams.deliver.desk import Desk
from streams.deliver.family import HOLD_S, Family, Importing, Prepared, Read, Sorting
from streams.deliver.judge import chain
from streams.deliver.row import Group, Row, Settled, by_profile
from streams.deliver.sending import grouping
from streams.deliver.sending.lane import Lane
from streams.klaviyo.limits import PROFILE_BYTES
from streams.klaviyo.replies import Reply
from streams.klaviyo.requests import BULK_BYTES, BULK_ROWS, ENVELOPE_BYTES, Request
from streams.ledger.reasons import Outcome, Reason

MOST_CALLS: Final = 400
"""Calls of a lane in flight."""
SINGLES: Final = 5
"""Profiles that no job can carry and that go by themselves beside each job."""
MOST_FAILING: Final = 64
"""Groups that wait to be sent again; above it no new rows are taken."""
LONG_S: Final = 60.0
"""A budget that is used up for so long, a day's, makes its groups wait aside: other calls go on."""


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
    ended: list[Settled] = field(default_factory=list)
    """Rows that must not be sent any more."""
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
            and len(plan.silent) + len(plan.ended) < BULK_ROWS
        ):
            choice = self._choose(now)
            if choice.how is None:
                plan.wake_at = min(plan.wake_at, choice.at)
                break
            late = [
                group
                for group in self._take(choice.how, now, plan, read)
                if not self._start(group, now, plan, read)
            ]
            self.ready.extend(late)
            if late:
                break
        plan.wake_at = now if len(plan.silent) + len(plan.ended) >= BULK_ROWS else plan.wake_at
        return plan

    def dissolve(self, before_ms: int = 0) -> list[Group]:
        """Turn groups to send again into rows that wait; the groups that are no more.

        A group whose rows Klaviyo has in an open job stays together, unless one of them came before that
        time, and so does one that probes and was answered a question: asked anew it would never come to its
        call.
        """

        def works(group: Group) -> bool:
            return group.job is not None and not any(0 < row.came < before_ms for row in group.rows)

        failed = self.lane.drain(waiting=True)
        kept = [group for group in self.ready if works(group) or group.probes]
        groups = [group for group in self.ready if not (works(group) or group.probes)]
        groups += [group for group in failed if not works(group)]
        self.ready = deque([*kept, *(group for group in failed if works(group))])
        for group in reversed(groups):
            self.lane.put_back(chain(group))
            self.lane.free(group.profiles())
        return groups

    @property
    def probing(self) -> bool:
        """Whether a group that probes goes on with what it was answered."""
        return any(group.probes for group in self.ready)

    def probe(self, now: float, read: Read) -> Plan:
        """One row of a stopped lane; and what became of open jobs."""
        plan = Plan()
        probing, kept = self.probing, list(self.ready)
        self.ready = deque(group for group in kept if not self._start(group, now, plan, read))
        if probing:
            return plan
        budget = self.desk.spending.budget(self.family.single)
        if not self.lane.waiting(now) or budget.next(now) > now + HORIZON_S:
            return plan
        if isinstance(self.family, Sorting):
            # an operation alone would go before the opposite one that waits behind it
            rows = self._admitted(
                self.lane.take(BULK_ROWS, BULK_BYTES, BULK_ROWS, profiles=1), now, plan, read
            )
            groups = self._sort(self.family, rows, now, read)
        else:
            rows = self._admitted(self.lane.take(1, BULK_BYTES, 1), now, plan, read)
            groups = [Group(self.new_id(), rows, bulk=False)] if rows else []
        for group in groups:
            group.probes = True
        self.ready.extend(group for group in groups if not self._start(group, now, plan, read))
        return plan

    def _choose(self, now: float) -> grouping.Choice:
        spending, family = self.desk.spending, self.family
        waiting = self.lane.waiting(now)
        if not waiting:
            return grouping.Choice(None)
        even = family.even if isinstance(family, Importing) else 0
        bulk_at = spending.budget(family.bulk).next(now) if family.bulk and waiting > even else None
        return grouping.choose(waiting, now, spending.budget(family.single).next(now), bulk_at)

    def _take(self, how: str, now: float, plan: Plan, read: Read) -> list[Group]:
        """Groups for the next calls; none when all that was taken must wait or is over."""
        self._taken += self.desk.backfill_share
        backfill_first = self._taken >= 1
        if backfill_first:
            self._taken -= 1
        size = BULK_BYTES - ENVELOPE_BYTES
        if isinstance(self.family, Sorting):
            rows = self.lane.take(BULK_ROWS, size, BULK_ROWS, backfill_first=backfill_first)
            return self._sort(self.family, self._admitted(rows, now, plan, read), now, read)
        if how == "bulk" and isinstance(self.family, Importing):
            fits, most = self.family.fits, self.family.most
            rows = self.lane.take(most, size, most, backfill_first=backfill_first, fits=fits)
            groups = self._job(self._admitted(rows, now, plan, read))
            beside = SINGLES if rows else 1
            for _ in range(beside):
                rows = self.lane.take(
                    self.family.each, BULK_BYTES, self.family.each, profiles=1, fits=lambda row: not fits(row)
                )
                groups += self._one_behind_the_other(self._admitted(rows, now, plan, read))
            return groups
        if how == "bulk":
            rows = self.lane.take(BULK_ROWS, size, BULK_ROWS, backfill_first=backfill_first)
            return self._bulk(self._admitted(rows, now, plan, read))
        each = self.family.each
        rows = self.lane.take(each, BULK_BYTES, each, profiles=1, backfill_first=backfill_first)
        return self._one_behind_the_other(self._admitted(rows, now, plan, read))

    def _job(self, rows: list[Row]) -> list[Group]:
        """One job for rows of several profiles; of one, what it alone may have."""
        if len({row.who for row in rows}) < 2:
            return self._one_behind_the_other(rows)
        kept, later = notices.within(rows, PROFILE_BYTES)
        self.lane.put_back(later)
        return [Group(self.new_id(), kept, bulk=True)]

    def _bulk(self, rows: list[Row]) -> list[Group]:
        """One bulk call; a profile of which something goes once more goes by itself, in order."""
        alone = {row.who for row in rows if row.again}
        many = [row for row in rows if row.who not in alone]
        groups = [Group(self.new_id(), many, bulk=len(many) > 1)] if many else []
        for own in by_profile([row for row in rows if row.who in alone]):
            head: Group | None = None
            for row in reversed(own):
                head = Group(self.new_id(), [row], bulk=False, after=head)
            groups += [head] if head is not None else []
        return groups

    def _one_behind_the_other(self, rows: list[Row]) -> list[Group]:
        head: Group | None = None
        for part in reversed(self.family.cut(rows) if rows else []):
            head = Group(self.new_id(), part, bulk=False, after=head)
        return [head] if head is not None else []

    def _sort(self, family: Sorting, rows: list[Row], now: float, read: Read) -> list[Group]:
        found = family.sort(rows, read, self.desk.now_ms())
        self.lane.put_back(found.later)
        self._hold(found.held, now + found.held_s)
        self.lane.free({row.into["id"] for row in found.held if row.into is not None})
        return [Group(self.new_id(), part, bulk=len(part) > 1) for part in found.parts]

    def _hold(self, rows: list[Row], until: float) -> None:
        """Back into the queue, to be looked at again then."""
        self.lane.put_back(rows)
        for who in dict.fromkeys(row.who for row in rows):
            self.lane.hold(who, until)

    def _admitted(self, rows: list[Row], now: float, plan: Plan, read: Read) -> list[Row]:
        """What may be sent of the rows just taken, and as whom: merges and erasures come between."""
        if self.family.name == notices.FAMILY:
            return rows
        going: list[Row] = []
        held: list[Row] = []
        for own in by_profile(rows):
            who = own[0].who
            erased = [row for row in own if notices.erased(row, read)]
            left = [row for row in own if row not in erased]
            plan.ended += [Settled(row, Outcome.REFUSED, Reason.ERASED) for row in erased]
            if not left:
                self.lane.free([who])
            elif self.desk.occupancy.claimed(who) or not self._redirected(left, now, read):
                held += left
            else:
                going += left
        self._hold(held, now + HOLD_S)
        return going

    def _redirected(self, rows: list[Row], now: float, read: Read) -> bool:
        """Address one profile's rows to whom it was merged into; False while that one is busy here.

        What left in a former life goes under the name that it had then, and what waits again after a call
        that told nothing under that which it has.
        """
        into = next((row.into for row in rows if row.into is not None), None)
        anew = [row for row in rows if row.into is None and not row.tried]
        if into is None:
            anew = rows
            if any(row.tried and not row.tried_at for row in rows):
                return True
            doubted = min((row.tried_at for row in rows if row.tried), default=None)
            into = notices.winner(rows[0].who, read, doubted)
        if into is None:
            return True
        if self.lane.busy(into["id"]):
            return False
        self.lane.occupy(into["id"])
        for row in anew:
            row.into = into
            prepared = self.family.prepare({**row.op, "profile": into}, self.desk.now_ms())
            if isinstance(prepared, Prepared):
                row.ready, row.size, row.ignored = prepared.ready, prepared.size, prepared.ignored
        return True

    def _start(self, group: Group, now: float, plan: Plan, read: Read) -> bool:
        """Reserve a group's call, or lay it aside; False if it waits for its budget here."""
        group.at_ms = self.desk.now_ms()
        request = self.family.request(group, read)
        if request is None:
            plan.silent.append(group)
            return True
        budget = self.desk.spending.budget(request.budget)
        lasts = self.desk.client.timeout_s(request.bulk)
        right = budget.reserve(now, lasts)
        if right is None:
            at = budget.next(now)
            plan.wake_at = min(plan.wake_at, at)
            if LONG_S <= at - now < inf and not group.probes:
                self.lane.again(group, at, failed=False)
                return True
            return False
        plan.calls.append(Call(group, request, budget, right[0], right[1], lasts))
        return True
