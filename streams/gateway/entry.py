"""What the ways in other than HTTP write: envelopes, and dead letters of what can't be one. Pure."""

from dataclasses import dataclass, field
from typing import Any, Final

from streams.engine.outbox import Produced
from streams.engine.partition import partition_of
from streams.gateway import messages
from streams.gateway.messages import Arrival, Read
from streams.gateway.records import Encoder
from streams.ledger.outcomes import dead_letter
from streams.ledger.reasons import Reason
from streams.segment.envelope import Origin
from streams.segment.refusal import Refusal

TOO_LARGE_SHOWN: Final = 262_144
"""Bytes of a refused record that its dead letter keeps at most: more than any that is accepted has."""


@dataclass(slots=True)
class Entry:
    """Collects one transaction's envelopes and dead letters, ready to be produced.

    ``stage`` is who refuses, "import" or "bridge"; ``partitions`` those of both topics.
    """

    stage: str
    envelope: Encoder
    letter: Encoder
    partitions: int
    events: list[Produced] = field(default_factory=list)
    letters: list[Produced] = field(default_factory=list)
    size: int = 0
    """Bytes of all values."""

    def admit(self, message: object, body: bytes, arrival: Arrival, *, where: str = "") -> Refusal | None:
        """Add one message's envelope for each space, or why it is refused (``where`` goes before it)."""
        read = messages.read(message, body, body, arrival)
        if isinstance(read, Refusal):
            self.refuse(read, body, arrival, where=where)
            return read
        self.add(read)
        return None

    def add(self, read: Read) -> None:
        """Add the envelopes of a message that was read."""
        for identifier, envelope in read:
            key = f"{envelope['space']}\0{identifier}".encode()
            value = self.envelope.encode(envelope)
            self.size += len(value)
            self.events.append((partition_of(key, self.partitions), key, value))

    def refuse(self, refusal: Refusal, data: bytes, arrival: Arrival, *, where: str = "") -> None:
        """Add a dead letter for each space."""
        for space in arrival.spaces:
            value = self.letter.encode(_letter(self.stage, space, refusal, data, arrival, where))
            key = f"{space}\0{refusal.event_id}".encode()
            self.size += len(value)
            self.letters.append((partition_of(data, self.partitions), key, value))


def invalid(detail: str) -> Refusal:
    """A refusal of what is no message at all."""
    return Refusal(Reason.INVALID_MESSAGE, detail)


def _letter(
    stage: str, space: str, refusal: Refusal, data: bytes, arrival: Arrival, where: str
) -> dict[str, Any]:
    origin = Origin(
        line="events",
        space=space,
        partition=-1,
        offset=-1,
        accepted_at=arrival.accepted_at,
        replay=None,
    )
    detail = f"{where}: {refusal.detail}" if where else refusal.detail
    return dead_letter(
        origin,
        refusal.event_id,
        stage,
        refusal.reason,
        detail,
        data[:TOO_LARGE_SHOWN],
        at=arrival.accepted_at,
        trace_id=arrival.trace_id,
    )
