"""How far a lane is in one topic: the first offset not done, and the ranges done beyond it."""

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any, Final

from streams.engine.positions import Passed

MOST_RANGES: Final = 100_000
"""At so many the lane reads no further until some are joined."""


@dataclass(slots=True)
class Position:
    """Ranges are half open, apart and ascending. ``read`` is the end of what was taken in.

    ``stopped``: why and since when (ms) what waits can't be sent; every position that is written says it.
    """

    next: int = 0
    ranges: list[list[int]] = field(default_factory=list)
    read: int = 0
    stopped: tuple[str, int] | None = None

    @classmethod
    def restored(cls, value: int | dict[str, Any] | None) -> "Position":
        """From the form that the changelog holds."""
        if value is None:
            return cls()
        passed = Passed.of(value)
        return cls(passed.next, [list(pair) for pair in passed.done], passed.next, passed.stopped)

    def take(self, offset: int) -> int | None:
        """Take in a record; where its span begins, or None if it is done already.

        A span begins where the record before ended, so that gaps in the log (transaction markers) are done
        with the record behind them.
        """
        start, self.read = self.read, max(self.read, offset + 1)
        if self.holds(offset):
            if start < offset:
                self.done(start, offset + 1)
            return None
        return min(start, offset)

    def done(self, start: int, end: int) -> None:
        """Mark a span as done."""
        if start <= self.next:
            self.next = max(self.next, end)
            while self.ranges and self.ranges[0][0] <= self.next:
                self.next = max(self.next, self.ranges.pop(0)[1])
            return
        index = bisect_right(self.ranges, [start, 1 << 62])
        if index and self.ranges[index - 1][1] >= start:
            index -= 1
            self.ranges[index][1] = max(self.ranges[index][1], end)
        else:
            self.ranges.insert(index, [start, end])
        while index + 1 < len(self.ranges) and self.ranges[index + 1][0] <= self.ranges[index][1]:
            self.ranges[index][1] = max(self.ranges[index][1], self.ranges.pop(index + 1)[1])

    def form(self) -> dict[str, Any]:
        """The form that the changelog holds."""
        form: dict[str, Any] = {"next": self.next, "done": [list(pair) for pair in self.ranges]}
        return form if self.stopped is None else form | {"stopped": list(self.stopped)}

    @property
    def full(self) -> bool:
        """Whether nothing more should be read."""
        return len(self.ranges) >= MOST_RANGES

    def holds(self, offset: int) -> bool:
        """Whether the offset is done."""
        if offset < self.next:
            return True
        index = bisect_right(self.ranges, [offset, 1 << 62])
        return bool(index) and offset < self.ranges[index - 1][1]
