"""Outcomes and dead letters of deliveries, in the form of their schemas."""

from typing import Any, Final

from streams.deliver.row import Settled
from streams.klaviyo.operation import Operation
from streams.klaviyo.replies import SHOWN
from streams.segment.envelope import Origin
from streams.segment.refusal import Refusal

STAGE: Final = "deliver"


def outcome(end: Settled, at_ms: int) -> dict[str, Any]:
    """What became of a delivery (``avro/outcome.avsc``)."""
    op = end.row.op
    return {
        "origin": op["origin"],
        "event_id": op["event_id"],
        "account": op["account"],
        "delivery_id": op["op_id"],
        "stage": STAGE,
        "outcome": str(end.outcome),
        "reason": str(end.reason),
        "at": at_ms,
        "replay": op["origin"]["replay"],
        "deliveries": [],
    }


def dead_letter(end: Settled, lane: str, at_ms: int) -> dict[str, Any]:
    """What could not go on (``avro/dead_letter.avsc``)."""
    op = end.row.op
    shown = {"status": end.reply[0], "body": end.reply[1][:SHOWN]} if end.reply else None
    letter = _letter(op, lane, at_ms)
    return letter | {
        "reason": str(end.reason),
        "detail": end.detail,
        "attempts": end.row.attempts,
        "reply": shown,
        "bytes": end.row.value,
    }


def unreadable(value: bytes, account: str, space: str, lane: str, at_ms: int, why: str) -> dict[str, Any]:
    """A dead letter for bytes that are no operation; where they entered is not known."""
    origin: Origin = {
        "line": "events",
        "space": space,
        "partition": -1,
        "offset": -1,
        "accepted_at": at_ms,
        "replay": None,
    }
    op: Any = {"account": account, "origin": origin, "event_id": "", "op_id": None}
    return _letter(op, lane, at_ms) | {"reason": "unreadable", "detail": why, "bytes": value}


def unpolled(refusal: Refusal, body: bytes, account: str, space: str, at_ms: int) -> dict[str, Any]:
    """A dead letter for a polled event that the line can't hold: refused before it, as at the gateway."""
    origin: Origin = {
        "line": "engagement",
        "space": space,
        "partition": -1,
        "offset": -1,
        "accepted_at": at_ms,
        "replay": None,
    }
    op: Any = {"account": account, "origin": origin, "event_id": refusal.event_id, "op_id": None}
    said = {"stage": "poll", "reason": str(refusal.reason), "detail": refusal.detail, "bytes": body}
    return _letter(op, None, at_ms) | said


def _letter(op: Operation, lane: str | None, at_ms: int) -> dict[str, Any]:
    return {
        "at": at_ms,
        "stage": STAGE,
        "account": op["account"],
        "lane": lane,
        "origin": op["origin"],
        "event_id": op["event_id"],
        "delivery_id": op["op_id"],
        "attempts": 0,
        "reply": None,
        "trace_id": None,
    }
