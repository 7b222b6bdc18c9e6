"""Which accepted events Klaviyo has not been seen to have. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from streams.klaviyo.receipts import selected
from streams.ledger.reasons import Outcome, Reason

LOOKS: Final = 5
"""Times the read-back time after which a receipt is overdue: three looks, one more, and one to spare."""
SLACK_MS: Final = 60_000
_TAKEN: Final = (Reason.ACCEPTED.value, Reason.FIELD_IGNORED.value)


@dataclass(frozen=True, slots=True)
class Receipts:
    """Events that are looked for: how many still wait for their look, and those that should be there by now.

    ``share`` of all events is looked for.
    """

    share: float
    awaited: int = 0
    overdue: tuple[Mapping[str, Any], ...] = ()

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        return {"share": self.share, "awaited": self.awaited, "overdue": list(self.overdue)}


@dataclass(slots=True)
class Confirming:
    """Takes in the outcomes of deliveries, then the operations that say which of them are events."""

    share: float
    after_ms: float
    now_ms: int
    awaited: int = 0
    overdue: list[dict[str, Any]] = field(default_factory=list)
    _open: dict[int, tuple[int, bool]] = field(default_factory=dict)
    """Start of an op id → when it was accepted, and whether it was looked for in vain."""

    def outcome(self, said: Mapping[str, Any]) -> None:
        """Take in one outcome (``avro/outcome.avsc``), in the order of its partition."""
        op_id = said["delivery_id"]
        if op_id is None or said["stage"] != "deliver" or not selected(op_id, self.share):
            return
        reason = (said["reason"] or "").partition(":")[0]
        key = _key(op_id)
        if said["outcome"] == Outcome.DELIVERED and reason in _TAKEN:
            self._open[key] = said["at"], False
        elif said["outcome"] == Outcome.DELIVERED and reason == Reason.UNCONFIRMED:
            self._open[key] = said["at"], True
        elif said["outcome"] not in (Outcome.DUPLICATE, Outcome.UNCHANGED):
            self._open.pop(key, None)

    @property
    def open(self) -> int:
        """Deliveries of any kind that nothing confirms."""
        return len(self._open)

    def operation(self, op: Mapping[str, Any]) -> None:
        """Take in one event operation; its delivery counts once."""
        found = self._open.pop(_key(op["op_id"]), None)
        if found is None:
            return
        at, in_vain = found
        if not in_vain and self.now_ms - at <= LOOKS * self.after_ms + SLACK_MS:
            self.awaited += 1
            return
        origin = op["origin"]
        self.overdue.append(
            {
                "account": op["account"],
                "delivery_id": op["op_id"],
                "event_id": op["event_id"],
                "space": origin["space"],
                "partition": origin["partition"],
                "offset": origin["offset"],
                "reason": str(Reason.UNCONFIRMED if in_vain else Reason.ACCEPTED),
                "at": at,
            }
        )

    def receipts(self) -> Receipts:
        """What was found."""
        return Receipts(self.share, self.awaited, tuple(self.overdue))


def _key(op_id: str) -> int:
    return int(op_id[:16], 16)
