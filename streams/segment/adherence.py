"""How traffic keeps to the contracts: by event, how many, what breaks them and where. Pure."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from streams.segment.contracts import Contracts, Violation
from streams.segment.tracking_plan import Level

_INDEX: Final = re.compile(r"\[\d+\]")


@dataclass(slots=True)
class Seen:
    """One event's messages: how many came in, were refused, broke the contract; at which places."""

    accepted: int = 0
    refused: int = 0
    broken: int = 0
    places: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Path, with ``[]`` for every index, and what is expected there → messages that differ."""
    found: dict[tuple[str, str], str] = field(default_factory=dict)
    """What was found there the first time."""


class Adherence:
    """Messages held against the contracts as they are now.

    Args:
        contracts: all there are.
        levels: how each event is held at the gateway.
    """

    def __init__(self, contracts: Contracts, levels: Mapping[str, Level]) -> None:
        self._contracts = contracts
        self._levels = levels
        self._events: dict[str, Seen] = {}

    def take(self, message: Mapping[str, Any], *, refused: bool = False) -> None:
        """Count one track, accepted or a dead letter for its contract."""
        event = message.get("event")
        if message.get("type", "track") != "track" or not isinstance(event, str):
            return
        seen = self._events.setdefault(event, Seen())
        seen.refused += refused
        seen.accepted += not refused
        violations = self._contracts.violations(message)
        seen.broken += bool(violations)
        for place, violation in _places(violations).items():
            seen.places[place] += 1
            seen.found.setdefault(place, violation.found)

    def document(self) -> dict[str, Any]:
        """The report: an entry for each event, the one most often broken first."""
        rows = [self._row(event, seen) for event, seen in self._events.items()]
        rows.sort(key=lambda row: (-row["broken"], -row["count"], row["event"]))
        silent = sorted(set(self._contracts.events) - set(self._events))
        names = ("count", "accepted", "refused", "broken")
        return {
            "totals": {name: sum(row[name] for row in rows) for name in names},
            "events": rows,
            "silent": silent,
        }

    def _row(self, event: str, seen: Seen) -> dict[str, Any]:
        return {
            "event": event,
            "contract": event in self._contracts.events,
            "enforce": self._levels.get(event, False),
            "count": seen.accepted + seen.refused,
            "accepted": seen.accepted,
            "refused": seen.refused,
            "broken": seen.broken,
            "violations": [
                {"path": path, "expected": expected, "found": seen.found[path, expected], "count": count}
                for (path, expected), count in seen.places.most_common()
            ],
        }


def readable(document: Mapping[str, Any], since: str) -> str:
    """The report for a person, as it is read once a week."""
    return "\n".join(_lines(document, since))


def _lines(document: Mapping[str, Any], since: str) -> Iterator[str]:
    totals = document["totals"]
    yield (
        f"Since {since}: {totals['count']} tracks, {totals['broken']} break their contract as it is now, "
        f"{totals['refused']} were refused for it."
    )
    for row in document["events"]:
        held = {True: "enforced", False: "not enforced", "warn": "warned"}[row["enforce"]]
        what = held if row["contract"] else "no contract"
        share = f", {row['broken']} broken ({row['broken'] / row['count']:.1%})" if row["broken"] else ""
        yield f"\n{row['event']} ({what}): {row['count']}, {row['refused']} refused{share}"
        for each in row["violations"]:
            expected = f"{each['path']} must be {each['expected']}, found {each['found']}"
            yield f"  {each['count']:>8}  {expected}"
    if document["silent"]:
        yield f"\nNever seen: {', '.join(document['silent'])}"


def _places(violations: list[Violation]) -> dict[tuple[str, str], Violation]:
    """One violation for each place of a message, however many elements of a list it concerns."""
    found: dict[tuple[str, str], Violation] = {}
    for violation in violations:
        found.setdefault((_INDEX.sub("[]", violation.path), violation.expected), violation)
    return found
