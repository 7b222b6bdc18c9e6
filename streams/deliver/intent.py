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
    """Rows whose call had no result when the slot was opened. Times by this process's monotonic clock."""

    _rows: dict[tuple[str, int], tuple[bytes, float, int]] = field(default_factory=dict)
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
            for topic, runs in intent["rows"].items():
                for start, end in runs:
                    for offset in range(start, end):
                        doubts._rows[(topic, offset)] = (name, now + left, int(intent["at"]))
                        doubts._left[name] = doubts._left.get(name, 0) + 1
        doubts._unread = set(doubts._rows)
        return doubts

    def hold(self, key: bytes, rows: Iterable[Row]) -> None:
        """Rows in doubt are in no group: this intent speaks of them until each has another or a result."""
        for row in rows:
            self._rows[(row.topic, row.offset)] = (key, 0.0, row.doubted_at)
            self._left[key] = self._left.get(key, 0) + 1

    def settle(self, done: Callable[[str, int], bool]) -> list[bytes]:
        """Forget rows that are done nonetheless; the keys of intents that have no other."""
        rows = [place for place in self._rows if done(*place)]
        return [key for place in rows if (key := self.covered(*place)) is not None]

    def not_before(self, topic: str, offset: int) -> float | None:
        """When a row in doubt may be sent again; None for a row that is not in doubt."""
        self._unread.discard((topic, offset))
        found = self._rows.get((topic, offset))
        return found[1] if found else None

    def left_at(self, topic: str, offset: int) -> int:
        """When the call left, by the wall clock, ms; 0 for a row that is not in doubt."""
        found = self._rows.get((topic, offset))
        return found[2] if found else 0

    @property
    def unread(self) -> bool:
        """Whether some rows in doubt were not taken in again yet: whose they are is not known."""
        return bool(self._unread)

    def unread_of(self, topic: str) -> bool:
        """Whether some of them are in this topic."""
        return any(name == topic for name, _ in self._unread)

    def covered(self, topic: str, offset: int) -> bytes | None:
        """A row has a new intent or a result; the key of its old intent when that was the last row of it."""
        self._unread.discard((topic, offset))
        found = self._rows.pop((topic, offset), None)
        if found is None:
            return None
        self._left[found[0]] -= 1
        if self._left[found[0]]:
            return None
        del self._left[found[0]]
        return found[0]
