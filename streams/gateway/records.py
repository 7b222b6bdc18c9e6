"""What one request becomes in Kafka: records of segment.events or klaviyo.engagement, and dead letters."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from zlib import crc32

from streams.gateway import messages
from streams.gateway.bodies import Piece
from streams.gateway.messages import Arrival
from streams.klaviyo import engagement
from streams.ledger.reasons import Reason
from streams.segment.envelope import Origin
from streams.segment.refusal import Refusal

EVENTS, ENGAGEMENT, DEAD_LETTERS = "segment.events", "klaviyo.engagement", "dead.letters"
STAGE = "gateway"
LARGEST = 1_800_000
"""Bytes of an item, or of a refused event, that a record of the line can hold."""


class Encoder(Protocol):
    """Writes one kind of record with its schema's id."""

    def encode(self, value: Mapping[str, Any]) -> bytes:
        """Return the framed record."""


@dataclass(frozen=True, slots=True)
class Encoders:
    """The codecs of the three topics."""

    envelope: Encoder
    engagement: Encoder
    dead_letter: Encoder


@dataclass(slots=True)
class Outgoing:
    """One request's records by topic, as librdkafka's batch call wants them, and why events were refused."""

    topics: dict[str, list[dict[str, Any]]]
    events: int
    refused: list[Reason]


def of_segment(pieces: Iterable[Piece], arrival: Arrival, encoders: Encoders, partitions: int) -> Outgoing:
    """Return one record for each message and space; a refused message is a dead letter of each space."""
    good: list[dict[str, Any]] = []
    letters: list[dict[str, Any]] = []
    refused: list[Reason] = []
    encode = encoders.envelope.encode
    for piece in pieces:
        read = _read(piece, arrival)
        if isinstance(read, Refusal):
            refused.append(read.reason)
            for space in arrival.spaces:
                origin = _origin("events", space, arrival.accepted_at)
                letter = _letter(read, origin, arrival.trace_id, piece.body)
                letters.append(_dead(letter, encoders.dead_letter, partitions))
            continue
        for identifier, envelope in read:
            key = f"{envelope['space']}\0{identifier}".encode()
            value = encode(envelope)
            good.append({"key": key, "value": value, "partition": crc32(key) % partitions})
    return _outgoing(EVENTS, good, letters, refused)


def _read(piece: Piece, arrival: Arrival) -> list[tuple[str, Any]] | Refusal:
    if piece.value is None and piece.body != b"null":
        return Refusal(Reason.INVALID_JSON, "the event is not JSON: it has NaN, Infinity or a lone surrogate")
    return messages.read(piece.value, piece.body, piece.content, arrival)


def of_klaviyo(
    pieces: Iterable[Piece],
    delivery: engagement.Delivery,
    trace_id: str,
    slot: int,
    *,
    encoders: Encoders,
    partitions: int,
) -> Outgoing:
    """Return one record for each item of a Klaviyo webhook, all in the partition of the account's space."""
    good: list[dict[str, Any]] = []
    letters: list[dict[str, Any]] = []
    refused: list[Reason] = []
    for piece in pieces:
        read = engagement.read(piece.value, piece.body, delivery)
        if len(piece.body) > LARGEST:
            says = f"the item has {len(piece.body)} bytes, the most is {LARGEST}"
            event_id = read.event_id if isinstance(read, Refusal) else read[1]["event_id"]
            read = Refusal(Reason.TOO_LARGE, says, event_id)
        if isinstance(read, Refusal):
            refused.append(read.reason)
            origin = _origin("engagement", delivery.space, delivery.accepted_at)
            letter = _letter(read, origin, trace_id, piece.body) | {"account": delivery.account}
            letters.append(_dead(letter, encoders.dead_letter, partitions))
        else:
            key = f"{delivery.space}\0{read[0]}".encode()
            good.append({"key": key, "value": encoders.engagement.encode(read[1]), "partition": slot})
    return _outgoing(ENGAGEMENT, good, letters, refused)


def _outgoing(
    topic: str, good: list[dict[str, Any]], letters: list[dict[str, Any]], refused: list[Reason]
) -> Outgoing:
    topics = {name: records for name, records in ((topic, good), (DEAD_LETTERS, letters)) if records}
    return Outgoing(topics, len(good), refused)


def _origin(line: str, space: str, accepted_at: int) -> Origin:
    where: Origin = {
        "line": line,
        "space": space,
        "partition": -1,
        "offset": -1,
        "accepted_at": 0,
        "replay": None,
    }
    return {**where, "accepted_at": accepted_at}


def _letter(refusal: Refusal, origin: Origin, trace_id: str, body: bytes) -> dict[str, Any]:
    return {
        "at": origin["accepted_at"],
        "stage": STAGE,
        "account": None,
        "lane": None,
        "reason": refusal.reason.value,
        "detail": refusal.detail,
        "origin": origin,
        "event_id": refusal.event_id,
        "delivery_id": None,
        "attempts": 0,
        "reply": None,
        "trace_id": trace_id,
        "bytes": body[:LARGEST],
    }


def _dead(letter: dict[str, Any], encoder: Encoder, partitions: int) -> dict[str, Any]:
    key = f"{letter['origin']['space']}\0{letter['event_id']}".encode()
    return {"key": key, "value": encoder.encode(letter), "partition": crc32(letter["bytes"]) % partitions}
