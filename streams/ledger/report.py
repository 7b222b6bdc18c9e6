"""The audit's answer, in the form that ``streams audit --json`` and ``build/demo.json`` have. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from streams.ledger.book import State
from streams.ledger.tally import Tally, percentile

COUNTED = (
    State.DELIVERED,
    State.UNCHANGED,
    State.DUPLICATE,
    State.FILTERED,
    State.HELD,
    State.EXPIRED,
    State.REFUSED,
    State.DEAD_LETTERED,
    State.IN_FLIGHT,
)


@dataclass(frozen=True, slots=True)
class Report:
    """``dead_letters`` has one entry a reason; ``missing`` one a record that nothing accounts for."""

    tally: Tally
    latencies: Sequence[float] = ()
    dead_letters: Sequence[Mapping[str, Any]] = ()
    missing: Sequence[Mapping[str, Any]] = field(default_factory=list)

    @property
    def in_flight(self) -> int:
        """Records that are still on their way, both ways."""
        return sum(states[State.IN_FLIGHT] for states in self.tally.states.values())

    def document(self) -> dict[str, Any]:
        """The JSON form. ``budget``, ``http_429`` and ``seconds`` are the demo's to fill in."""
        events = self.tally.states["events"]
        ordered = sorted(self.latencies)
        return {
            "version": 1,
            "accepted": self.tally.accepted["events"],
            **{state.name.lower(): events[state] for state in COUNTED},
            "unaccounted": events[State.UNKNOWN],
            "deliveries": {
                name: self.tally.deliveries[name] for name in ("accepted", "confirmed", "unconfirmed")
            },
            "engagement": self._engagement(),
            "latency_ms": {
                "p50": round(percentile(ordered, 0.5)),
                "p99": round(percentile(ordered, 0.99)),
                "n": len(ordered),
            },
            "budget": {},
            "http_429": 0,
            "dead_letters": list(self.dead_letters),
            "seconds": {"setup": 0, "send": 0, "drain": 0},
            "missing": list(self.missing),
        }

    def _engagement(self) -> dict[str, int]:
        states = self.tally.states["engagement"]
        return {
            "in": self.tally.accepted["engagement"],
            "forwarded": states[State.DELIVERED] + states[State.UNCHANGED],
            "duplicate": states[State.DUPLICATE],
            "filtered": states[State.FILTERED] + states[State.REFUSED] + states[State.EXPIRED],
            "dead_lettered": states[State.DEAD_LETTERED],
            "in_flight": states[State.IN_FLIGHT] + states[State.HELD],
            "unaccounted": states[State.UNKNOWN],
        }
