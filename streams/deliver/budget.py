"""One endpoint's budget: no fixed window of Klaviyo's is overrun, whatever its phase and the jitter.

A request counts from its planned sending until a whole window after its reply. It arrived somewhere between,
so of the requests that arrive in one window the last-sent one found all others still counted.
Times are seconds of a monotonic clock, handed in.
"""

from bisect import insort
from collections import deque
from dataclasses import dataclass, field
from math import inf, sqrt
from typing import Final

from streams.klaviyo.budgets import Limit
from streams.klaviyo.replies import Window

SLICE_S: Final = 1.0
"""A right to send lapses this long after its transaction began."""
HORIZON_S: Final = 0.8
"""How far ahead sendings are planned: the rest of a slice is left to delays."""
CATCH_UP: Final = 1 / 6
"""So much of a steady window, lost to a stall, is made up for; else its gap would come again for ever."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What of a budget is spent, relative to the moment it was written: survives the process.

    ``open``: (seconds ago, seconds the call may last) of each call without a reply; ``closed``: (seconds
    ago, whole; number) of replies.
    """

    open: tuple[tuple[float, float], ...] = ()
    closed: tuple[tuple[int, int], ...] = ()
    blocked: float = 0.0
    """Seconds for which Klaviyo wants to be left alone."""


@dataclass(slots=True)
class Budget:
    """Mutable, one owner. ``limit`` is what may be used, headroom taken off."""

    limit: Limit
    blocked_until: float = -inf
    _open: dict[int, tuple[float, float]] = field(default_factory=dict)
    _steady: deque[float] = field(default_factory=deque)
    _burst: deque[float] = field(default_factory=deque)
    _others: float = 0.0
    _others_until: float = -inf
    _left: int = 0
    _left_at: float = -inf
    _left_until: float = -inf
    _took: float = 0.0
    _paced: float = -inf
    _spaced: float = -inf
    _last: int = 0
    used: int = 0

    def next(self, now: float) -> float:
        """When the next request may be sent: now, later, or never before a reply comes (inf)."""
        self._forget(now)
        steady = self._room(self._steady, self.limit.steady)
        burst = self._room(self._burst, self.limit.burst)
        shared = self._left_until if self._left - self._margin(now) < 1 else -inf
        return max(now, self.blocked_until, steady, burst, shared, self._allowed_by_pace())

    def reserve(self, now: float, lasts: float, horizon: float = HORIZON_S) -> tuple[int, float] | None:
        """Take one request's room; a number for it and the time to send, or None if not within the horizon.

        Evenly spaced once the first burst is gone; what a stall kept back follows at double pace.
        """
        at = self.next(now)
        if at > now + horizon:
            return None
        late = at if self._paced == -inf else at - self._credit()
        if at > max(now, self._allowed_by_pace()):
            # a window is used up: what it frees in one go would else be sent in one go for ever after
            self._paced = max(self._paced, late + (self.limit.at_once - 1) * self._interval())
        self._paced = max(self._paced, late) + self._interval()
        self._spaced = max(self._spaced, at) + self._interval() / 2
        self._last += 1
        self._open[self._last] = (at, lasts)
        self._left -= 1
        return self._last, at

    def replied(self, number: int, now: float) -> None:
        """The reply came, or none will: from here on the windows pass."""
        call = self._open.pop(number, None)
        if call is not None:
            self._took = now - call[0]
            self._count(now)
            self.used += 1

    def unsent(self, number: int) -> None:
        """Nothing was sent: the room is free again."""
        if self._open.pop(number, None) is not None:
            self._left += 1
            self._paced -= self._interval()

    def obey(self, window: Window, now: float) -> None:
        """Learn from a reply, counted before, what others use: for so long Klaviyo's own count is kept to.

        Own requests of Klaviyo's window are at most those open and those replied to since it began; what it
        counts beyond these is others'. Its end is given in whole seconds, seen from the request's arrival.
        """
        ends = now + window.reset_s - 1.0 - self._took
        sent = sum(at <= now for at, _ in self._open.values())
        own = sent + sum(end >= ends for end in self._steady)
        foreign = window.limit - window.remaining - own
        if ends > now and foreign > 0:
            elapsed = self.limit.steady_s - window.reset_s
            self._others = foreign / max(elapsed, self.limit.steady_s / 4)
        if (ends > now and foreign > 0) or window.limit < self.limit.steady:
            self._others_until = now + window.reset_s + self.limit.steady_s
        self._left = window.remaining - len(self._open)
        self._left_at, self._left_until = now, now + window.reset_s

    def throttled(self, now: float, retry_after: float) -> None:
        """A 429, or a 503 that says so: nothing more for so many seconds."""
        self.blocked_until = max(self.blocked_until, now + retry_after)

    def withheld(self, now: float) -> bool:
        """Whether a right given before must not be used: a 429, or others' use, came between."""
        if now < self.blocked_until:
            return True
        later = sum(at > now for at, _ in self._open.values())
        return now < self._left_until and self._left + later < self._margin(now)

    def spent(self, now: float) -> Spent:
        """What a successor must know."""
        self._forget(now)
        closed: dict[int, int] = {}
        for until in self._steady:
            age = int(now - (until - self.limit.steady_s))
            closed[age] = closed.get(age, 0) + 1
        ages = tuple((max(0.0, now - at), lasts) for at, lasts in self._open.values())
        return Spent(ages, tuple(closed.items()), max(0.0, self.blocked_until - now))

    def restore(self, spent: Spent, elapsed: float, now: float) -> None:
        """Count a dead owner's requests as spent: an open one went out in its slice and took its full time.

        Args:
            spent: as written.
            elapsed: seconds since, by the wall clock; a negative one counts as none.
            now: by this process's monotonic clock.
        """
        elapsed = max(0.0, elapsed)
        if spent.blocked > elapsed:
            self.throttled(now, spent.blocked - elapsed)
        replies = [now - elapsed - age for age, count in spent.closed for _ in range(count)]
        replies += [now - elapsed - age + SLICE_S + lasts for age, lasts in spent.open]
        for reply in sorted(replies):
            self._count(reply)
        if replies:
            self._paced = now - self._credit()
        self._forget(now)

    def _count(self, reply: float) -> None:
        """Ends stay in order: those of a dead owner's open calls lie behind many to come."""
        for ends, length in ((self._steady, self.limit.steady_s), (self._burst, self.limit.burst_s)):
            if ends and ends[-1] > reply + length:
                insort(ends, reply + length)
            else:
                ends.append(reply + length)

    def _allowed_by_pace(self) -> float:
        at_once = (self.limit.at_once - 1) * self._interval()
        return max(self._paced - at_once, self._spaced - at_once / 2)

    def _credit(self) -> float:
        return self.limit.steady_s * CATCH_UP

    def _interval(self) -> float:
        """Between two sendings; a little short, so that a delay can be made up."""
        return 0.995 * self.limit.steady_s / self.limit.steady

    def _margin(self, now: float) -> float:
        """What others may take of Klaviyo's window before a request of now arrives; -inf while alone.

        Three standard deviations above the mean, if they come at random.
        """
        if now >= min(self._others_until, self._left_until):
            return -inf
        mean = self._others * (now - self._left_at + 2 * self._took)
        return mean + 3 * sqrt(mean)

    def _room(self, ends: deque[float], limit: int) -> float:
        """When fewer than ``limit`` requests count, if no further reply comes."""
        free = limit - len(self._open)
        if free <= 0:
            return inf
        return ends[len(ends) - free] if len(ends) >= free else -inf

    def _forget(self, now: float) -> None:
        for ends in (self._steady, self._burst):
            while ends and ends[0] <= now:
                ends.popleft()
