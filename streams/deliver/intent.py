"""Intents: what is about to be sent, written before it is. One without a result leaves its rows in doubt.

An intent names offsets only: an operation's record never changes, and bodies follow from it, so what was
sent can be made again from the topic.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import orjson

from streams.deliver.budget import SLICE_S
from streams.deliver.row import Row

_PREFIX: Final = b"i/"


def prefix(family: str) -> bytes:
    """Before every intent of a family."""
    return _PREFIX + family.encode() + b"/"


def key(family: str, group_id: str) -> bytes:
    """Where a group's intent stands."""
    return prefix(family) + group_id.encode()


def form(rows: Iterable[Row], at_ms: int, lasts_s: float) -> bytes:
    """An intent.

    Args:
        rows: what is sent.
        at_ms: when, by the wall clock.
        lasts_s: how long the call may take.
    """
    return orjson.dumps({"at": at_ms, "lasts": lasts_s, "rows": runs_of(rows)})


def runs_of(rows: Iterable[Row]) -> dict[str, list[list[int]]]:
    """Topic → the rows' offsets as half-open runs."""
    offsets: dict[str, list[list[int]]] = {}
    for row in rows:
        runs = offsets.setdefault(row.topic, [])
        if runs and runs[-1][1] == row.offset:
            runs[-1][1] += 1
        else:
            runs.append([row.offset, row.offset + 1])
    return offsets


@dataclass(slots=True)
class Doubts:
    """Rows whose call had no result when the slot was opened. Times by this process's monotonic clock.

    A row may stand in several intents: that of a dead owner, and of its successor, which died, too.
    """

    _rows: dict[tuple[str, int], list[bytes]] = field(default_factory=dict)
    _times: dict[bytes, tuple[float, int]] = field(default_factory=dict)
    """Intent → when its call is surely over; when it left, ms by the wall clock."""
    _left: dict[bytes, int] = field(default_factory=dict)
    _unread: set[tuple[str, int]] = field(default_factory=set)

    @classmethod
    def restored(cls, intents: Iterable[tuple[bytes, bytes]], now: float, now_ms: int) -> "Doubts":
        """Read all intents of a family; a call is over once its slice and its time-out have passed."""
        doubts = cls()
        for name, value in intents:
            intent = orjson.loads(value)
            whole = SLICE_S + float(intent["lasts"])
            left = min(whole, max(0.0, whole - (now_ms - intent["at"]) / 1000))
            doubts._times[name] = (now + left, int(intent["at"]))
            for topic, runs in intent["rows"].items():
                for start, end in runs:
                    for offset in range(start, end):
                        doubts._add(name, (topic, offset))
        doubts._unread = set(doubts._rows)
        return doubts

    def _add(self, key: bytes, place: tuple[str, int]) -> None:
        self._rows.setdefault(place, []).append(key)
        self._left[key] = self._left.get(key, 0) + 1

    def hold(self, key: bytes, rows: Iterable[Row]) -> None:
        """Rows in doubt are in no group: this intent speaks of them until each has another or a result."""
        rows = list(rows)
        self._times[key] = (0.0, min(row.doubted_at for row in rows))
        for row in rows:
            self._add(key, (row.topic, row.offset))

    def settle(self, done: Callable[[str, int], bool]) -> list[bytes]:
        """Forget rows that are done nonetheless; the keys of intents that have no other."""
        rows = [place for place in self._rows if done(*place)]
        return [key for place in rows for key in self.covered(*place)]

    def not_before(self, topic: str, offset: int) -> float | None:
        """When a row in doubt may be sent again; None for a row that is not in doubt."""
        self._unread.discard((topic, offset))
        return max((self._times[key][0] for key in self._rows.get((topic, offset), ())), default=None)

    def left_at(self, topic: str, offset: int) -> int:
        """When its first call left, by the wall clock, ms; 0 for a row that is not in doubt."""
        return min((self._times[key][1] for key in self._rows.get((topic, offset), ())), default=0)

    @property
    def unread(self) -> bool:
        """Whether some rows in doubt were not taken in again yet: whose they are is not known."""
        return bool(self._unread)

    def unread_of(self, topic: str) -> bool:
        """Whether some of them are in this topic."""
        return any(name == topic for name, _ in self._unread)

    def covered(self, topic: str, offset: int) -> list[bytes]:
        """A row has a new intent or a result; the keys of old intents of which it was the last row."""
        self._unread.discard((topic, offset))
        over: list[bytes] = []
        for key in self._rows.pop((topic, offset), ()):
            self._left[key] -= 1
            if not self._left[key]:
                del self._left[key], self._times[key]
                over.append(key)
        return over
