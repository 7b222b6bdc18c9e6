"""Outcomes and dead letters as a stage writes them: built, framed, ready for its outbox."""

from time import time
from typing import Any, Protocol

from streams.engine.registry import Registry
from streams.ledger.outcomes import dead_letter, outcome
from streams.ledger.reasons import Outcome, Reason
from streams.segment.envelope import Origin


class Consumed(Protocol):
    """What is needed of a consumed record."""

    offset: int
    timestamp: int


class Ledger:
    """Encodes for one stage. Time is the wall clock's, milliseconds."""

    def __init__(self, registry: Registry, stage: str) -> None:
        self._stage = stage
        self._outcome = registry.codec("outcome").encode
        self._dead_letter = registry.codec("dead_letter").encode

    def outcome(
        self, origin: Origin, event_id: str, became: Outcome, reason: Reason | str | None = None, **more: Any
    ) -> bytes:
        """One framed outcome; ``more`` is account, delivery_id or deliveries."""
        at = int(time() * 1000)
        return self._outcome(outcome(origin, event_id, self._stage, became, reason, at=at, **more))

    def dead_letter(
        self, origin: Origin, event_id: str, reason: Reason, detail: str, data: bytes, **more: Any
    ) -> bytes:
        """One framed dead letter; ``more`` is account, lane, delivery_id, attempts, reply or trace_id."""
        at = int(time() * 1000)
        return self._dead_letter(
            dead_letter(origin, event_id, self._stage, reason, detail, data, at=at, **more)
        )


def origin_of_unreadable(line: str, partition: int, record: Consumed) -> Origin:
    """The origin of a record whose own can't be read: its place in this stage's input."""
    return Origin(
        line=line,
        space="",
        partition=partition,
        offset=record.offset,
        accepted_at=record.timestamp,
        replay=None,
    )
