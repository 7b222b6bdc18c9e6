"""Which dead letters were redriven or discarded, as control keeps it: a bitmap a run and block. Pure.

A run's facts are its own, so that a million letters are some hundred facts, and each letter's says when, by
which run and why.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Self

from streams.engine.control import Control, Key

KIND: Final = "replay"
BLOCK: Final = 8192
"""Offsets that one fact speaks of."""
Verb = Literal["redrive", "discard"]
STATUS: Mapping[str, str] = {"redrive": "redriven", "discard": "discarded"}
Letter = tuple[int, int]
"""A dead letter's partition and offset."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What was done with a letter: by which run, when (ms), why."""

    verb: Verb
    run: str
    at: int
    why: str | None

    @property
    def status(self) -> str:
        """Redriven or discarded."""
        return STATUS[self.verb]


@dataclass(slots=True)
class Marks:
    """All runs' marks; the newest of a letter counts."""

    _blocks: dict[Letter, list[tuple[int, Mark]]] = field(default_factory=dict)
    _keys: dict[Key, Letter] = field(default_factory=dict)

    @classmethod
    def of(cls, facts: Iterable[Control]) -> Self:
        """From what control holds."""
        marks = cls()
        for fact in sorted(facts, key=lambda each: each.at):
            verb, _, rest = fact.name.partition("/")
            if fact.kind != KIND or verb not in STATUS:
                continue
            run, _, where = rest.rpartition("/")
            partition, _, block = where.partition("-")
            place = int(partition), int(block)
            mark = Mark("redrive" if verb == "redrive" else "discard", run, fact.at, fact.reason)
            marks._blocks.setdefault(place, []).append((int(fact.detail or "0", 16), mark))
            marks._keys[(fact.kind, fact.name)] = place
        return marks

    def find(self, letter: Letter) -> Mark | None:
        """What was done last with a letter; None for one that is open."""
        return next(self._of(letter), None)

    def redriven(self, letter: Letter) -> bool:
        """Whether a letter went back into the line, whatever was said later."""
        return any(mark.verb == "redrive" for mark in self._of(letter))

    def stale(self, starts: Mapping[int, int]) -> list[Key]:
        """Facts that speak only of letters before these first offsets: retention has deleted them."""
        return [
            key for key, (partition, block) in self._keys.items() if (block + 1) * BLOCK <= starts[partition]
        ]

    def _of(self, letter: Letter) -> Iterator[Mark]:
        partition, offset = letter
        bits = self._blocks.get((partition, offset // BLOCK), ())
        return (mark for bitmap, mark in reversed(bits) if bitmap >> offset % BLOCK & 1)


@dataclass(slots=True)
class Run:
    """One run's marks as they grow. ``id`` is the redrive's, also ``origin.replay`` of what it sends."""

    verb: Verb
    id: str
    why: str | None = None
    _bitmaps: dict[Letter, int] = field(default_factory=dict)

    def add(self, letters: Iterable[Letter], at: int) -> dict[Key, Control]:
        """Mark letters; the facts that say so, those of letters marked before in the same blocks included."""
        touched: dict[Letter, None] = {}
        for partition, offset in letters:
            place = partition, offset // BLOCK
            self._bitmaps[place] = self._bitmaps.get(place, 0) | 1 << offset % BLOCK
            touched[place] = None
        facts = {}
        for partition, block in touched:
            name = f"{self.verb}/{self.id}/{partition}-{block}"
            bits = f"{self._bitmaps[(partition, block)]:x}"
            facts[(KIND, name)] = Control(KIND, name, reason=self.why, at=at, detail=bits)
        return facts
