"""Which events were accepted and not seen since."""

from typing import Any

from streams.ledger.confirming import SLACK_MS, Confirming

MINUTE = 60_000
NOW = 100 * MINUTE


def said(op_id: int, reason: str | None, at: int, outcome: str = "delivered", **over: Any) -> dict[str, Any]:
    told = {"delivery_id": f"{op_id:016x}{0:016x}", "stage": "deliver", "outcome": outcome}
    return told | {"reason": reason, "at": at} | over


def op(op_id: int) -> dict[str, Any]:
    origin = {"space": "acme", "partition": 1, "offset": op_id}
    return {"op_id": f"{op_id:016x}{0:016x}", "account": "acme", "event_id": f"e{op_id}", "origin": origin}


def found(*outcomes: dict[str, Any], share: float = 1.0, events: int = 9) -> Confirming:
    confirming = Confirming(share, 10 * MINUTE, NOW)
    for outcome in outcomes:
        confirming.outcome(outcome)
    for n in range(events):
        confirming.operation(op(n))
    return confirming


def test_the_last_word_on_a_delivery_counts() -> None:
    old = NOW - 90 * MINUTE
    result = found(
        said(1, "accepted", old), said(1, "confirmed", old + 1),
        said(2, "accepted", old), said(2, "sent_before", NOW, "duplicate"),
        said(3, "field_ignored:value", old),
        said(4, "accepted", old), said(4, "rejected", NOW, "dead_lettered"),
        said(5, "accepted", old), said(5, "unconfirmed", NOW - 1),
        said(6, "no_rule", old, "filtered", delivery_id=None),
    )  # fmt: skip
    assert [(each["event_id"], each["reason"]) for each in result.overdue] == [
        ("e2", "accepted"), ("e3", "accepted"), ("e5", "unconfirmed"),
    ]  # fmt: skip
    assert result.awaited == 0


def test_what_may_still_be_looked_for_is_not_overdue() -> None:
    edge = NOW - 50 * MINUTE - SLACK_MS
    result = found(said(1, "accepted", edge), said(2, "accepted", edge - 1))
    assert (result.awaited, [each["event_id"] for each in result.overdue]) == (1, ["e2"])


def test_only_events_have_receipts_and_each_counts_once() -> None:
    result = found(said(1, "accepted", 0), said(100, "accepted", 0))
    result.operation(op(1))
    assert len(result.overdue) == 1
    assert result.open == 1


def test_what_is_outside_the_share_is_not_asked_for() -> None:
    high = int("f" * 16, 16)
    result = Confirming(0.5, MINUTE, NOW)
    result.outcome(said(high, "accepted", 0))
    result.operation(op(high))
    assert result.receipts().document() == {"share": 0.5, "awaited": 0, "overdue": []}
