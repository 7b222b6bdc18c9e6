"""What became of each record of one partition, in a few bytes a record. Pure."""

import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from streams.ledger.reasons import Outcome


class State(IntEnum):
    """A record counts as the first of these that applies among its deliveries."""

    UNKNOWN = 0
    IN_FLIGHT = 1
    DEAD_LETTERED = 2
    REFUSED = 3
    EXPIRED = 4
    HELD = 5
    DELIVERED = 6
    UNCHANGED = 7
    DUPLICATE = 8
    FILTERED = 9
    ROUTED = 10
    PRESENT = 11
    """There is a record, and nothing is known of it."""
    HOLE = 12
    """There is none: a transaction's marker, or what was aborted."""


OF: dict[str, State] = {outcome.value: State[outcome.name] for outcome in Outcome}
STAGES: dict[str, int] = {
    name: n for n, name in enumerate(("gateway", "dedupe", "identify", "route", "deliver", "feedback"))
}


@dataclass(slots=True)
class Book:
    """Records ``low`` up to, not including, ``end`` of one partition.

    ``states`` and ``stages`` hold the last outcome of the record itself, ``opened`` marks what waits before a
    stage now, ``routes`` where the record's deliveries begin in ``flat`` (their number, then their keys).
    The dicts hold the few records that need more.
    """

    low: int
    end: int
    states: bytearray = field(default_factory=bytearray)
    stages: bytearray = field(default_factory=bytearray)
    opened: bytearray = field(default_factory=bytearray)
    routes: "array[int]" = field(default_factory=lambda: array("q"))
    flat: "array[int]" = field(default_factory=lambda: array("Q"))
    held: dict[int, int] = field(default_factory=dict)
    """Held records: offset → when it was said."""
    replayed: dict[int, int] = field(default_factory=dict)
    """Records whose last outcome is a replay's: offset → when it was said."""
    refused_in_part: dict[int, int] = field(default_factory=dict)
    """Records with a dead letter for one account, whatever the others got: offset → when it was said."""
    earlier: dict[int, set[int]] = field(default_factory=dict)
    """Deliveries that a record had before a replay, and has no more: offset → their keys."""
    reasons: bytearray = field(default_factory=bytearray)
    """Why, of the record's own last outcome; the numbers are the accounts'."""

    def __post_init__(self) -> None:
        self.grow(self.end)

    def grow(self, end: int) -> None:
        """Take in records up to the new end."""
        self.end = max(self.end, end)
        more = self.end - self.low - len(self.states)
        for each in (self.states, self.stages, self.opened, self.reasons):
            each.extend(bytes(more))
        self.routes.extend(array("q", [-1]) * more)

    def __contains__(self, offset: int) -> bool:
        return self.low <= offset < self.end

    def note(self, offset: int, state: State, stage: str, at: int, replay: str | None) -> bool:
        """Take in an outcome of the record itself; False if a later one is known.

        Stages write to different partitions, so a later stage's word counts, and a replay's by its time.
        """
        i = offset - self.low
        number = STAGES.get(stage, 0)
        before = self.replayed.get(offset)
        if replay is None:
            if before is not None or (self.states[i] and number < self.stages[i]):
                return False
        elif before is not None and at < before:
            return False
        else:
            self.replayed[offset] = at
        self.states[i], self.stages[i] = state, number
        if state is State.HELD:
            self.held[offset] = at
        else:
            self.held.pop(offset, None)
        return True

    def route(self, offset: int, deliveries: Sequence[int]) -> None:
        """The record's deliveries, in place of those before."""
        self.routes[offset - self.low] = len(self.flat)
        self.flat.append(len(deliveries))
        self.flat.extend(deliveries)

    def had(self, offset: int, deliveries: Sequence[int]) -> None:
        """Keep deliveries that a replay's route is to stand in place of."""
        if deliveries:
            self.earlier.setdefault(offset, set()).update(deliveries)

    def deliveries(self, offset: int) -> Sequence[int]:
        """Keys of the record's deliveries."""
        start = self.routes[offset - self.low]
        return () if start < 0 else self.flat[start + 1 : start + 1 + self.flat[start]]

    def close(self) -> None:
        """Forget what was open."""
        self.opened = bytearray(len(self.states))

    def silent(self) -> Iterator[tuple[int, int]]:
        """Ranges of offsets that nothing was said of and nobody looked at."""
        for zeros in re.finditer(rb"\0+", self.states):
            yield zeros.start() + self.low, zeros.end() + self.low

    def present(self, offset: int) -> None:
        """A record was found here."""
        if not self.states[offset - self.low]:
            self.states[offset - self.low] = State.PRESENT

    def settle(self) -> None:
        """All silent offsets were looked at: those where nothing was found hold nothing."""
        self.states = self.states.replace(b"\0", bytes([State.HOLE]))
