"""The audit's sums as they are told. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from streams.ledger.book import State


@dataclass(frozen=True, slots=True)
class Missing:
    """A record that nothing accounts for; ``last_stage`` is the last one known to have had it."""

    line: str
    partition: int
    offset: int
    last_stage: str


@dataclass(slots=True)
class Tally:
    """The sums: states by line ("events", "engagement"), certainty of deliveries, what is missing."""

    accepted: Counter[str] = field(default_factory=Counter)
    states: dict[str, Counter[State]] = field(default_factory=dict)
    deliveries: Counter[str] = field(default_factory=Counter)
    missing: list[Missing] = field(default_factory=list)


def percentile(values: Iterable[float], share: float) -> float:
    """The value that this share of them does not exceed; 0 when there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
