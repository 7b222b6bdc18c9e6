"""How far each stage is, read from the tails of its changelogs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streams.engine.changelog import position
from streams.engine.reading import Range, Reader
from streams.engine.topics import changelog, full

_TAIL = 2_000
"""Records to look at first: each transaction ends with a position, so it is near the end."""


@dataclass(frozen=True, slots=True)
class Passed:
    """Offsets of one partition that a stage is done with: all below ``next``, and the ranges.

    ``stopped``: why and since when (ms) it can do no more for now; None where it says nothing of the kind.
    """

    next: int
    done: tuple[tuple[int, int], ...] = ()
    stopped: tuple[str, int] | None = None

    @classmethod
    def of(cls, value: int | Mapping[str, Any]) -> "Passed":
        """From a position's value: the next offset alone, or with ranges done beyond it."""
        if isinstance(value, int):
            return cls(value)
        why, since = value.get("stopped") or (None, 0)
        done = tuple((int(start), int(end)) for start, end in value.get("done", ()))
        return cls(int(value["next"]), done, None if why is None else (str(why), int(since)))

    def __contains__(self, offset: int) -> bool:
        return offset < self.next or any(start <= offset < end for start, end in self.done)

    def open(self, end: int) -> int:
        """How many offsets below the end are not done."""
        ahead = sum(max(0, min(e, end) - max(s, self.next)) for s, e in self.done)
        return max(0, end - self.next - ahead)


Positions = dict[int, dict[str, Passed]]
"""Partition → logical topic → what is done."""


def positions(reader: Reader, prefix: str, stage: str) -> Positions:
    """The stage's last committed positions; a partition never worked on is not in it. Raises Away."""
    name = full(prefix, changelog(stage))
    places = reader.places([name])
    ends = reader.stable(places)
    starts = reader.starts(places)
    found: Positions = {}
    look = _TAIL
    left = {place for place in places if starts[place] < ends[place]}
    while left:
        ranges = [Range(*place, max(starts[place], ends[place] - look), ends[place]) for place in left]
        for batch in reader.read(ranges):
            for message in batch:
                value = position(message.key(), message.value())
                if value is not None:
                    found[message.partition() or 0] = {t: Passed.of(p) for t, p in value.items()}
        left = {p for p in left if p[1] not in found and ends[p] - look > starts[p]}
        look *= 20
    return found
