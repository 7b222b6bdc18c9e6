"""A brake: one event stream gone wrong must not empty a list, nor an account, within the hour."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

import orjson

from streams.engine.lanes import GUARD

LEAST: Final = 100
"""So many may always go, however small the list."""
EVERYTHING: Final = ""
"""In the place of a list: who leaves every one, by a word that names none."""
HOUR_MS: Final = 3_600_000
MINUTE_MS: Final = 60_000


class Brake:
    """How a lane pauses itself; this one never does. ``pulled`` until somebody lets the lane go on."""

    def pull(self, why: str) -> None:
        """Pause the lane and ask."""

    def released_at(self) -> int | None:
        """When the lane was last let go on (ms); None if it never was."""
        return None


@dataclass(slots=True)
class _Left:
    """Who left one list, or all: how many in each minute, and the size of a list when it was last asked."""

    minutes: dict[int, int] = field(default_factory=dict)
    size: int = 0
    sized_at: int = -HOUR_MS

    def within(self, now_ms: int) -> int:
        """How many left within the hour, by the minute."""
        oldest = (now_ms - HOUR_MS) // MINUTE_MS
        for minute in [minute for minute in self.minutes if minute <= oldest]:
            del self.minutes[minute]
        return sum(self.minutes.values())


@dataclass(slots=True)
class Guard:
    """Counts who leaves each list, and who leaves everything. Mutable, one owner.

    ``share`` of a list may leave within an hour, and ``most`` people everything, for nobody knows a size to
    take a share of; 0 = any number. The counts are kept in the slot's state, one record a list,
    so that a restart doesn't open the gate anew; what was counted and is in doubt then is counted again.
    """

    share: float = 0.2
    most: int = 1000
    brake: Brake = field(default_factory=Brake)
    _lists: dict[str, _Left] = field(default_factory=dict)
    _unsaved: set[str] = field(default_factory=set)

    def verdict(self, list_id: str, now_ms: int) -> Literal["go", "size", "stop"]:
        """Whether one more may leave; "size": the list's size has to be known first."""
        released = self.brake.released_at()
        if released is not None and now_ms - released < HOUR_MS:
            return "go"
        counts = self._of(list_id)
        left = counts.within(now_ms)
        if list_id == EVERYTHING:
            return self._of_everything(left)
        if left < LEAST:
            return "go"
        if now_ms - counts.sized_at >= HOUR_MS:
            return "size"
        if left < self.share * counts.size:
            return "go"
        self.brake.pull(
            f"{GUARD} within an hour {left} of {counts.size} profiles left list {list_id}, "
            f"more than {self.share:.0%}; to go on: streams lanes resume"
        )
        return "stop"

    def _of_everything(self, left: int) -> Literal["go", "stop"]:
        if not self.most or left < self.most:
            return "go"
        self.brake.pull(
            f"{GUARD} within an hour {left} people were unsubscribed or suppressed without a list, "
            f"lists.guard_unsubscribes allows {self.most}; to go on: streams lanes resume"
        )
        return "stop"

    def leaves(self, list_id: str, now_ms: int) -> None:
        """One more leaves."""
        minutes = self._of(list_id).minutes
        minute = now_ms // MINUTE_MS
        minutes[minute] = minutes.get(minute, 0) + 1
        self._unsaved.add(list_id)

    def sized(self, list_id: str, size: int, now_ms: int) -> None:
        """Klaviyo's answer; those who left within the hour were on the list before."""
        counts = self._of(list_id)
        counts.size, counts.sized_at = size + counts.within(now_ms), now_ms
        self._unsaved.add(list_id)

    def unsaved(self, lane: str) -> dict[bytes, bytes]:
        """What changed since it was asked last, for the state."""
        lists, self._unsaved = self._unsaved, set()
        return {prefix(lane) + each.encode(): _form(self._lists[each]) for each in lists}

    def restore(self, entries: Iterable[tuple[bytes, bytes]]) -> None:
        """Read what a former owner of the lane counted."""
        for key, value in entries:
            found = orjson.loads(value)
            minutes = {int(minute): count for minute, count in found["left"]}
            self._lists[key.split(b"/", 2)[2].decode()] = _Left(minutes, found["size"], found["at"])

    def _of(self, list_id: str) -> _Left:
        return self._lists.setdefault(list_id, _Left())


def prefix(lane: str) -> bytes:
    """Before the counts of a lane's lists."""
    return b"g/" + lane.encode() + b"/"


def _form(left: _Left) -> bytes:
    return orjson.dumps({"left": list(left.minutes.items()), "size": left.size, "at": left.sized_at})


NewBrake = Callable[[str], Brake]
"""Lane → its brake."""
