"""Receipts: a 202 says that events were taken, not that they are there; these rules say what to look for.

A receipt is written with the outcomes of its call and names offsets only: the operations are in their topic.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from streams.deliver import intent
from streams.deliver.row import Row
from streams.klaviyo.receipts import PAGE
from streams.segment.envelope import Profile

AWAITED: Final = b"await/"
"""Before every receipt, in the order of when it is due."""
LOST: Final = b"lost/"
"""Before every row that is to be sent once more."""
LOOKS: Final = 3
"""Looks that must miss an event before it is sent once more; then there is one more look."""
GAP_S: Final = 30
"""Events of a metric further apart than this are read by two requests."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Accepted rows of one call, or those of several that a look missed.

    ``into``: place of a row → whom its body addressed, for a profile that was merged before.
    """

    rows: dict[str, list[list[int]]]
    looks: int
    at_ms: int
    into: dict[str, Profile]

    @property
    def count(self) -> int:
        """Number of rows."""
        return sum(end - start for runs in self.rows.values() for start, end in runs)


def place(topic: str, offset: int) -> str:
    """How a receipt names one row."""
    return f"{topic}/{offset}"


def write(rows: Sequence[Row], name: str, looks: int, at_ms: int, due_ms: int) -> tuple[bytes, bytes]:
    """Key and value of a receipt.

    Args:
        rows: in any order.
        name: of this receipt alone.
        looks: how many looks missed them.
        at_ms: when the oldest of them was accepted.
        due_ms: when to look.
    """
    into = {place(row.topic, row.offset): row.into for row in rows if row.into is not None}
    runs = intent.runs_of(sorted(rows, key=lambda row: (row.topic, row.offset)))
    value = orjson.dumps({"rows": runs, "looks": looks, "at": at_ms, "into": into})
    return AWAITED + f"{due_ms:013d}/{name}".encode(), value


def first_key(due_ms: int) -> bytes:
    """Before every receipt that is due then or later."""
    return AWAITED + f"{max(due_ms, 0):013d}/".encode()


def read(value: bytes) -> Receipt:
    """A receipt as the state holds it."""
    found = orjson.loads(value)
    return Receipt(found["rows"], found["looks"], found["at"], found["into"])


def due_ms(key: bytes) -> int:
    """When a receipt is due."""
    return int(key[len(AWAITED) : len(AWAITED) + 13])


def name_of(key: bytes) -> str:
    """The receipt's name."""
    return key[len(AWAITED) + 14 :].decode()


def lost_key(topic: str, offset: int) -> bytes:
    """Where it stands that a row is to be sent once more."""
    return LOST + place(topic, offset).encode()


def lost_place(key: bytes) -> tuple[str, int]:
    """Topic and offset of such a row."""
    topic, _, offset = key[len(LOST) :].decode().rpartition("/")
    return topic, int(offset)


def lost_form(row: Row) -> bytes:
    """What the state says of such a row: whom its body addressed."""
    return orjson.dumps(row.into)


@dataclass(slots=True, eq=False)
class Window:
    """One metric's events from ``since_s`` up to and with ``until_s``, and the op ids to be found there."""

    metric: str
    since_s: int
    until_s: int
    wanted: set[str]
    metric_id: str = ""
    cursor: str | None = None


def windows(rows: Iterable[tuple[str, str, int]]) -> list[Window]:
    """Op id, metric and time (ms) of each row → what to read; the densest first.

    Klaviyo cuts times to the second; a second on either side allows for rounding.
    """
    found: list[Window] = []
    open_ones: dict[str, Window] = {}
    for op_id, metric, time_ms in sorted(rows, key=lambda row: row[2]):
        second = time_ms // 1000
        window = open_ones.get(metric)
        if window is not None:
            last = window.until_s - 1
            if second - last > GAP_S or (second > last and len(window.wanted) >= PAGE):
                window = None
        if window is None:
            window = open_ones[metric] = Window(metric, second - 1, second + 1, set())
            found.append(window)
        window.until_s = second + 1
        window.wanted.add(op_id)
    return sorted(found, key=lambda window: -len(window.wanted))


@dataclass(slots=True)
class Look:
    """One look for some rows: which pages to read next, and what was seen. ``pages`` may still be read."""

    pages: int
    found: set[str] = field(default_factory=set)
    beyond: set[str] = field(default_factory=set)
    """Not seen, and not all was read: nothing is known of them."""
    _windows: deque[Window] = field(default_factory=deque)

    @classmethod
    def planned(cls, wanted: Iterable[Window], metrics: dict[str, list[str]], pages: int) -> "Look":
        """A look at windows; a metric that Klaviyo does not know has no events to read."""
        look = cls(pages)
        for window in wanted:
            for metric_id in metrics.get(window.metric, ()):
                look._windows.append(
                    Window(window.metric, window.since_s, window.until_s, window.wanted, metric_id)
                )
        return look

    def next(self, most: int) -> list[Window]:
        """Windows whose next pages to read now; none when the look is over."""
        taken: list[Window] = []
        while self._windows and len(taken) < most:
            window = self._windows.popleft()
            left = window.wanted - self.found
            if not left:
                continue
            if self.pages <= 0:
                self.beyond |= left
                continue
            self.pages -= 1
            taken.append(window)
        self.beyond -= self.found
        return taken

    def shown(self, window: Window, op_ids: Iterable[str], cursor: str | None) -> None:
        """Take in a page; ``cursor`` leads to the next one of the window."""
        self.found |= window.wanted.intersection(op_ids)
        if cursor is not None:
            window.cursor = cursor
            self._windows.append(window)

    def put_back(self, window: Window) -> None:
        """A page was not read after all."""
        self.pages += 1
        self._windows.appendleft(window)


@dataclass(slots=True)
class Seen:
    """What a look means for the rows of one receipt."""

    confirmed: list[Row] = field(default_factory=list)
    later: list[Row] = field(default_factory=list)
    """To be looked for again."""
    lost: list[Row] = field(default_factory=list)
    """To be sent once more."""
    unconfirmed: list[Row] = field(default_factory=list)
    """Sent once more, and still not there."""
    beyond: list[Row] = field(default_factory=list)


def seen(rows: Iterable[Row], looks: int, look: Look) -> Seen:
    """Sort a receipt's rows by what one more look, after so many, has shown."""
    result = Seen()
    missed = result.later if looks + 1 < LOOKS else result.lost if looks < LOOKS else result.unconfirmed
    for row in rows:
        op_id: Any = row.op["op_id"]
        if op_id in look.found:
            result.confirmed.append(row)
        elif op_id in look.beyond:
            result.beyond.append(row)
        else:
            missed.append(row)
    return result
