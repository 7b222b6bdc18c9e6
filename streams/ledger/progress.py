"""How far a replay is, as control keeps it: one fact, the last replay's. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

import orjson

from streams.engine.control import Control, Key
from streams.ledger.choice import Choice

KEY: Final[Key] = ("replay", "replay/last")
SHOWN: Final = 1_000
"""Records that stay are told one by one up to here, beyond it only counted."""
NAMES: Final = 500


@dataclass(slots=True)
class Counts:
    """``chosen`` = ``sent`` + ``stay``. ``found``: by outcome, what matches in all but the outcome.

    In a dry run ``sent`` is what would be.
    """

    read: int = 0
    chosen: int = 0
    sent: int = 0
    stay: int = 0
    found: dict[str, int] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=dict)
    """Of the chosen: ``track Order Completed`` → how many."""
    would: dict[str, int] = field(default_factory=dict)
    """Dry run: what the rules make of them now, by lane, ``filtered:REASON`` and ``refused:REASON``."""
    left: list[dict[str, str]] = field(default_factory=list)
    """The first records that stay: id, why."""

    def stays(self, where: str, why: str) -> None:
        """One more that stays."""
        self.stay += 1
        if len(self.left) < SHOWN:
            self.left.append({"id": where, "why": why})


@dataclass(slots=True)
class Progress:
    """One run: its choice, and of each partition (``TOPIC/NUMBER``, logical) the next offset and the end."""

    run: str
    choice: Choice
    account: str | None
    since: int
    """Nothing of the span arrived before (ms)."""
    next: dict[str, int]
    ends: dict[str, int]
    counts: Counts = field(default_factory=Counts)

    @property
    def done(self) -> bool:
        """Whether all is read."""
        return self.next == self.ends

    def fact(self, at: int) -> Control:
        """As control has it. What stays is told by the run that met it."""
        known = asdict(self)
        known["counts"]["left"] = []
        return Control(*KEY, at=at, detail=orjson.dumps(known).decode())

    @classmethod
    def of(cls, facts: Mapping[Key, Control]) -> Self | None:
        """The last replay's; None where there was none."""
        fact = facts.get(KEY)
        if fact is None or fact.detail is None:
            return None
        known: dict[str, Any] = orjson.loads(fact.detail)
        known |= {"choice": Choice.of(known["choice"]), "counts": Counts(**known["counts"])}
        return cls(**known)


def events_of(message: Mapping[str, Any]) -> str:
    """How a count names a message: its type and its name."""
    return f"{message['type']} {message['name']}".rstrip()


def add(counts: dict[str, int], names: Iterable[str]) -> None:
    """Count each; names beyond the first 500 as one."""
    for name in names:
        known = name if name in counts or len(counts) < NAMES else "…"
        counts[known] = counts.get(known, 0) + 1
