"""What a stage says of a record: outcomes and dead letters as ``avro/`` has them. Pure and cheap."""

from collections.abc import Sequence
from typing import Any, TypedDict

from streams.ledger.reasons import Outcome, Reason
from streams.segment.envelope import Origin

REPLY_CHARACTERS = 4096


class Reply(TypedDict):
    """The last answer to a call: HTTP status, the first characters of its body."""

    status: int
    body: str


def outcome(
    origin: Origin,
    event_id: str,
    stage: str,
    became: Outcome,
    reason: Reason | str | None = None,
    *,
    at: int,
    account: str | None = None,
    delivery_id: str | None = None,
    deliveries: Sequence[str] = (),
) -> dict[str, Any]:
    """One outcome of a record, or of one delivery of it.

    Args:
        origin: where the record entered the line.
        event_id: the event's id.
        stage: who says so.
        became: what became of it.
        reason: of the closed list, a detail may follow a colon.
        at: milliseconds since the epoch.
        account: the delivery's account.
        delivery_id: the delivery's op id; None = the record itself.
        deliveries: routed only: all delivery ids of the record.
    """
    return {
        "origin": origin,
        "event_id": event_id,
        "account": account,
        "delivery_id": delivery_id,
        "stage": stage,
        "outcome": became,
        "reason": reason,
        "at": at,
        "replay": origin["replay"],
        "deliveries": deliveries,
    }


def dead_letter(
    origin: Origin,
    event_id: str,
    stage: str,
    reason: Reason | str,
    detail: str,
    data: bytes,
    *,
    at: int,
    account: str | None = None,
    lane: str | None = None,
    delivery_id: str | None = None,
    attempts: int = 0,
    reply: Reply | None = None,
    trace_id: str | None = None,
) -> dict[str, Any]:
    """One dead letter; ``data`` is the record's untouched bytes, the rest as in ``outcome``."""
    if reply is not None and len(reply["body"]) > REPLY_CHARACTERS:
        reply = Reply(status=reply["status"], body=reply["body"][:REPLY_CHARACTERS])
    return {
        "at": at,
        "stage": stage,
        "account": account,
        "lane": lane,
        "reason": reason,
        "detail": detail,
        "origin": origin,
        "event_id": event_id,
        "delivery_id": delivery_id,
        "attempts": attempts,
        "reply": reply,
        "trace_id": trace_id,
        "bytes": data,
    }
