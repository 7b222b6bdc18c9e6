"""A brake for lists: one event stream gone wrong must not empty a list within the hour."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

LEAST: Final = 100
"""So many may always go, however small the list."""
HOUR_MS: Final = 3_600_000


class Brake:
    """How a lane pauses itself; this one never does. ``pulled`` until somebody lets the lane go on."""

    def pull(self, why: str) -> None:
        """Pause the lane and ask."""

    def released_at(self) -> int | None:
        """When the lane was last let go on (ms); None if it never was."""
        return None


@dataclass(slots=True)
class Guard:
    """Counts who leaves each list. Mutable, one owner, in memory: a restart begins to count anew.

    ``share`` of a list may leave within an hour.
    """

    share: float = 0.2
    brake: Brake = field(default_factory=Brake)
    _left: dict[str, deque[int]] = field(default_factory=dict)
    _sizes: dict[str, tuple[int, int]] = field(default_factory=dict)

    def verdict(self, list_id: str, now_ms: int) -> Literal["go", "size", "stop"]:
        """Whether one more may leave; "size": the list's size has to be known first."""
        released = self.brake.released_at()
        if released is not None and now_ms - released < HOUR_MS:
            return "go"
        left = self._within(list_id, now_ms)
        if left < LEAST:
            return "go"
        size, at = self._sizes.get(list_id, (0, -HOUR_MS))
        if now_ms - at >= HOUR_MS:
            return "size"
        if left < self.share * size:
            return "go"
        self.brake.pull(
            f"guard: within an hour {left} of {size} profiles left list {list_id}, "
            f"more than {self.share:.0%}; to go on: streams lanes resume"
        )
        return "stop"

    def leaves(self, list_id: str, now_ms: int) -> None:
        """One more leaves."""
        self._left.setdefault(list_id, deque()).append(now_ms)

    def sized(self, list_id: str, size: int, now_ms: int) -> None:
        """Klaviyo's answer; those who left within the hour were on the list before."""
        self._sizes[list_id] = (size + self._within(list_id, now_ms), now_ms)

    def _within(self, list_id: str, now_ms: int) -> int:
        times = self._left.get(list_id, deque())
        while times and now_ms - times[0] >= HOUR_MS:
            times.popleft()
        return len(times)


NewBrake = Callable[[str], Brake]
"""Lane → its brake."""
