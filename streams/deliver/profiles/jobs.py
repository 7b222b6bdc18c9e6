"""Open import jobs: what a successor must know of them, and how their rows come together again."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson

from streams.deliver import intent
from streams.deliver.row import Group, Row

ALL: Final = b"j/"
"""Before every open job."""


def prefix(family: str) -> bytes:
    """Before every open job of a family."""
    return ALL + family.encode() + b"/"


def key(family: str, job: str) -> bytes:
    """Where an open job stands."""
    return prefix(family) + job.encode()


def form(rows: Iterable[Row], profiles: Sequence[str], at_ms: int) -> bytes:
    """An open job: its rows, and the profiles of its elements in the order that its errors count by."""
    return orjson.dumps({"at": at_ms, "rows": intent.runs_of(rows), "who": profiles})


def began(entries: Iterable[tuple[bytes, bytes]]) -> dict[str, int]:
    """Open job → when it began, ms by the wall clock."""
    return {key.rpartition(b"/")[2].decode(): int(orjson.loads(value)["at"]) for key, value in entries}


@dataclass(slots=True)
class Known:
    """One open job of a former life. ``left`` rows of it are still to be read."""

    id: str
    who: list[str]
    left: int
    rows: list[Row] = field(default_factory=list)


@dataclass(slots=True)
class Jobs:
    """Open jobs of a former life whose rows are not all there yet."""

    _by_row: dict[tuple[str, int], Known] = field(default_factory=dict)
    _whole: list[Known] = field(default_factory=list)

    @classmethod
    def restored(cls, entries: Iterable[tuple[bytes, bytes]]) -> "Jobs":
        """Read all open jobs of a family."""
        jobs = cls()
        for name, value in entries:
            found = orjson.loads(value)
            known = Known(name.rpartition(b"/")[2].decode(), found["who"], 0)
            for topic, runs in found["rows"].items():
                for start, end in runs:
                    known.left += end - start
                    jobs._by_row |= {(topic, offset): known for offset in range(start, end)}
        return jobs

    def profiles(self) -> Iterator[str]:
        """Who has to wait."""
        for known in {id(known): known for known in self._by_row.values()}.values():
            yield from known.who

    def unread_of(self, topic: str) -> bool:
        """Whether rows of this topic are still to be read: until then their group can't go on."""
        return any(name == topic for name, _ in self._by_row)

    def adopt(self, row: Row) -> bool:
        """Whether a job has the row; with the last of them its group is whole."""
        known = self._by_row.pop((row.topic, row.offset), None)
        if known is None:
            return False
        known.rows.append(row)
        known.left -= 1
        if not known.left:
            self._whole.append(known)
        return True

    def drop(self, topic: str, offset: int) -> None:
        """A row of a job ended before it came to it."""
        known = self._by_row.pop((topic, offset), None)
        if known is not None:
            known.left -= 1
            if not known.left and known.rows:
                self._whole.append(known)

    def take_whole(self) -> list[Group]:
        """Groups that are whole now."""
        whole, self._whole = self._whole, []
        return [Group(f"job-{known.id}", known.rows, bulk=True, job=known.id) for known in whole]
