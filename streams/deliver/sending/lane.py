"""The queue of one lane: order per profile, one call in flight per profile, live before backfill."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count, islice
from typing import Final

from streams.deliver.row import Group, Row

LIVE_BYTES: Final = 64 << 20
BACKFILL_BYTES: Final = 8 << 20
"""Rows in memory above which a topic is read no further, until half of it is gone."""

CANDIDATES: Final = 20_000
"""Profiles among which rows are looked for that fit."""


@dataclass(slots=True)
class _Queue:
    """Rows by profile; ``free`` has the profiles that may be taken, oldest first."""

    rows: dict[str, deque[Row]] = field(default_factory=dict)
    free: dict[str, None] = field(default_factory=dict)
    free_rows: int = 0
    bytes: int = 0

    def add(self, row: Row, free: bool) -> None:
        self.rows.setdefault(row.who, deque()).append(row)
        if free:
            self.free[row.who] = None
            self.free_rows += 1

    def take(self, who: str) -> deque[Row]:
        """The profile's rows; it is not free until it is released."""
        del self.free[who]
        self.free_rows -= len(self.rows[who])
        return self.rows[who]

    def candidates(self, fits: Callable[[Row], bool] | None) -> Iterator[str]:
        """Free profiles, oldest first; each is taken before the next is asked for."""
        if fits is None:
            while self.free:
                yield next(iter(self.free))
            return
        for who in list(islice(self.free, CANDIDATES)):
            if fits(self.rows[who][0]):
                yield who

    def block(self, who: str) -> None:
        if who in self.free:
            self.take(who)

    def release(self, who: str) -> None:
        rows = self.rows.get(who)
        if rows:
            if who not in self.free:
                self.free[who] = None
                self.free_rows += len(rows)
        else:
            self.rows.pop(who, None)


@dataclass(slots=True)
class Lane:
    """Rows that wait, and who is busy. Times are seconds of a monotonic clock."""

    _live: _Queue = field(default_factory=_Queue)
    _back: _Queue = field(default_factory=_Queue)
    _busy: set[str] = field(default_factory=set)
    _held: list[tuple[float, int, str]] = field(default_factory=list)
    _resting: set[str] = field(default_factory=set)
    """Busy profiles that have no call: they wait for others'."""
    _again: list[tuple[float, int, Group, bool]] = field(default_factory=list)
    _failing: int = 0
    _holders: dict[str, list[Row]] = field(default_factory=dict)
    _order: Iterator[int] = field(default_factory=count)

    def add(self, row: Row, not_before: float | None = None) -> None:
        """Queue a row.

        Args:
            row: in the order of its topic.
            not_before: for a row in doubt: when its earlier call is surely over.
        """
        self._queue(row).bytes += row.weight
        row.queued = True
        parked = self._holders.get(row.op["op_id"])
        if parked is not None:
            parked.append(row)
            return
        self._holders[row.op["op_id"]] = []
        if not_before is not None and row.who not in self._busy:
            self._block(row.who)
            heappush(self._held, (not_before, next(self._order), row.who))
        self._queue(row).add(row, free=row.who not in self._busy)

    def waiting(self, now: float) -> int:
        """Rows that may be sent now."""
        while self._held and self._held[0][0] <= now:
            self.free([heappop(self._held)[2]])
        return self._live.free_rows + self._back.free_rows

    def fullness(self, backfill: bool) -> float:
        """Memory that live or backfill rows take, as a share of what they may."""
        return self._back.bytes / BACKFILL_BYTES if backfill else self._live.bytes / LIVE_BYTES

    def next_event(self) -> float | None:
        """When something that waits for a time may go on."""
        times = [heap[0][0] for heap in (self._held, self._again) if heap]
        return min(times, default=None)

    def take(
        self,
        rows: int,
        size: int,
        each: int,
        *,
        profiles: int = 1 << 30,
        backfill_first: bool = False,
        fits: Callable[[Row], bool] | None = None,
    ) -> list[Row]:
        """Take rows for one call; their profiles are busy until freed.

        Args:
            rows: at most so many.
            size: of at most so many bytes in a bulk body; one row is taken whatever its size.
            each: of one profile at most so many.
            profiles: of so many profiles.
            backfill_first: the share of backfill is due.
            fits: which rows may be taken; the others keep their place, and so do those behind them.
        """
        taken: list[Row] = []
        queues = (self._back, self._live) if backfill_first else (self._live, self._back)
        for queue in queues:
            for who in queue.candidates(fits):
                if len(taken) >= rows or not profiles:
                    break
                profiles -= 1
                if taken and queue.rows[who][0].size > size:
                    return taken
                waiting = queue.take(who)
                self._block(who)
                for _ in range(min(each, rows - len(taken))):
                    if not waiting or (taken and waiting[0].size > size):
                        break
                    if fits is not None and not fits(waiting[0]):
                        break
                    size -= waiting[0].size
                    taken.append(waiting.popleft())
        return taken

    def free(self, profiles: Iterable[str]) -> None:
        """Their call is over."""
        for who in profiles:
            self._busy.discard(who)
            self._resting.discard(who)
            self._live.release(who)
            self._back.release(who)

    def oldest(self, ready: Iterable[Group]) -> int | None:
        """When the oldest row came that waits here or in groups that are ready, ms."""
        queues = (self._live, self._back)
        rows = [row for queue in queues for waiting in queue.rows.values() for row in islice(waiting, 1)]
        for group in (*ready, *(entry[2] for entry in self._again)):
            rows += group.rows
        return min((row.came for row in rows if row.came > 0), default=None)

    def aged(self, before_ms: int, most: int) -> list[Row]:
        """Take rows that came before a time, of each profile the oldest first; nobody becomes busy."""
        taken: list[Row] = []
        for queue in (self._live, self._back):
            for who in list(queue.free):
                waiting = queue.take(who)
                while waiting and len(taken) < most and 0 < waiting[0].came < before_ms:
                    taken.append(waiting.popleft())
                queue.release(who)
        return taken

    def put_back(self, rows: list[Row]) -> None:
        """Rows that nothing was said about go first again; their profiles stay busy."""
        for row in reversed(rows):
            self._queue(row).rows.setdefault(row.who, deque()).appendleft(row)

    def again(self, group: Group, at: float, *, failed: bool = True) -> None:
        """A group to send again, for it ``failed`` or Klaviyo has work to do; its profiles stay busy."""
        heappush(self._again, (at, next(self._order), group, failed))
        self._failing += failed

    def due(self, now: float) -> Group | None:
        """The next group to send again, if its time has come."""
        if not self._again or self._again[0][0] > now:
            return None
        _, _, group, failed = heappop(self._again)
        self._failing -= failed
        return group

    @property
    def retrying(self) -> int:
        """Groups that failed and wait to be sent again."""
        return self._failing

    def drain(self, *, waiting: bool = False) -> list[Group]:
        """Groups that failed, oldest first, and those that wait for Klaviyo; the caller has them now."""
        entries = sorted(self._again)
        self._again = [] if waiting else [entry for entry in entries if not entry[3]]
        self._failing = 0
        return [group for _, _, group, failed in entries if failed or waiting]

    def busy(self, who: str) -> bool:
        """Whether a call of the profile is open, in doubt, or about to leave."""
        return who in self._busy

    def calling(self, who: str) -> bool:
        """Whether a call of the profile is open or in doubt, or its rows are about to leave."""
        return who in self._busy and who not in self._resting

    def occupy(self, who: str) -> None:
        """Take no rows of the profile until it is freed."""
        self._block(who)

    def hold(self, who: str, until: float) -> None:
        """The profile, busy now, is freed at that time."""
        heappush(self._held, (until, next(self._order), who))
        self._resting.add(who)

    def adopt(self, row: Row) -> None:
        """A row whose group is known already: counted, not queued; its profile is busy."""
        self._queue(row).bytes += row.weight
        row.queued = True
        self._holders.setdefault(row.op["op_id"], [])
        self._block(row.who)

    def finished(self, rows: Iterable[Row], sent: bool) -> list[Row]:
        """Forget rows whose end is committed.

        Returns:
            Rows with the id of a finished one that came meanwhile: done before, if it was ``sent``; else
            the first of them is queued in its place.
        """
        again: list[Row] = []
        for row in rows:
            if not row.queued:
                continue
            self._queue(row).bytes -= row.weight
            parked = self._holders.pop(row.op["op_id"], [])
            if sent:
                again += parked
                continue
            for other in parked:
                self._queue(other).bytes -= other.weight
                self.add(other)
        return again

    def _queue(self, row: Row) -> _Queue:
        return self._back if row.backfill else self._live

    def _block(self, who: str) -> None:
        self._busy.add(who)
        self._live.block(who)
        self._back.block(who)
