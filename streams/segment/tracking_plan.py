"""The tracking plan in force: which events are held to their contracts, and what breaks them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal

from streams.segment.contracts import MOST_SHOWN, Contracts, Violation

Level = Literal["warn"] | bool
UNKNOWN = "(no contract)"
"""Under which tracks are counted that have no contract: their names are anybody's."""

_LOOKED_UP = 200
"""Unknown names for which the nearest one is looked up: each takes milliseconds, and anybody can send any."""


@dataclass(slots=True)
class TrackingPlan:
    """Contracts and how they are held.

    ``levels`` has true (refuse), "warn" or false for each event; ``warned`` counts what was let pass all the
    same, by event: it and what was looked up are all that changes here.
    """

    contracts: Contracts
    levels: Mapping[str, Level]
    unknown: Literal["allow", "warn", "refuse"] = "allow"
    warned: Counter[str] = field(default_factory=Counter)
    _near: dict[str, str] = field(default_factory=dict)
    """Unknown event → the contract's that is meant, empty where none is near."""

    def refusal(self, event: str, message: Mapping[str, Any]) -> str | None:
        """Why a track must not enter: every violation with its path, what is expected and what was found."""
        level = self.levels.get(event)
        if level is None:
            return self._unknown(event) if event not in self.contracts.events else None
        if not level:
            return None
        found = self.contracts.violations(message)
        if not found:
            return None
        if level == "warn":
            self.warned[event] += 1
            return None
        more = "; there may be more" if len(found) == MOST_SHOWN else ""
        return "; ".join(map(str, found)) + more

    def _unknown(self, event: str) -> str | None:
        if self.unknown == "allow":
            return None
        if self.unknown == "warn":
            self.warned[UNKNOWN] += 1
            return None
        if event not in self._near and len(self._near) < _LOOKED_UP:
            self._near[event] = next(iter(get_close_matches(event, self.contracts.events, n=1)), "")
        close = self._near.get(event)
        expected = "one that has a contract" + (f" (such as {close!r})" if close else "")
        return str(Violation("event", expected, repr(event[:100])))

    @property
    def idle(self) -> bool:
        """Whether nothing is ever refused or counted."""
        return self.unknown == "allow" and not any(self.levels.values())
