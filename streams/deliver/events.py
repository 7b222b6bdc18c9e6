"""Events: single or bulk by backlog, each with its op id as ``unique_id``, identifiers only.

What is accepted gets a receipt, by which it is looked for later: a 202 says no more than "taken".
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from streams.deliver import addresses, numbers, receipts
from streams.deliver.family import NotSent, Prepared, Read, payload_of
from streams.deliver.row import Group, Row, Settled
from streams.klaviyo import limits, requests
from streams.klaviyo.budgets import EVENT_BULK, EVENT_SINGLE
from streams.klaviyo.operation import Operation
from streams.klaviyo.receipts import selected
from streams.klaviyo.replies import Reply
from streams.klaviyo.requests import EventRow, Request
from streams.ledger.reasons import Outcome, Reason

_LASTS_MS: Final = 30_000


@dataclass(frozen=True, slots=True)
class Events:
    """The events family. ``share`` of the events is looked for, first so long after they were accepted."""

    share: float = 0.0
    after_ms: int = 600_000
    name: str = "events"
    single: str = EVENT_SINGLE
    bulk: str | None = EVENT_BULK
    each: int = 1

    def prepare(self, op: Operation, now_ms: int) -> Prepared | NotSent:
        """Check and encode one event."""
        if op["kind"] != "event":
            return NotSent(Reason.UNSUPPORTED, f"{op['kind']} is no event")
        payload = payload_of(op)
        if isinstance(payload, NotSent):
            return payload
        found = limits.event(requests.identifiers(op["profile"]), payload, op["time"], now_ms)
        if isinstance(found, limits.Refused):
            return NotSent(Reason(found.reason), f"not sent: {found.detail}")
        row = requests.event_row(found.who, found.payload, op["op_id"], op["time"], op["backfill"])
        size = requests.bulk_size(row)
        if size + requests.ENVELOPE_BYTES > requests.BULK_BYTES:
            return NotSent(Reason.TOO_LARGE, f"not sent: {size} bytes, at most {requests.BULK_BYTES}")
        return Prepared(row, size, found.ignored)

    def request(self, group: Group, read: Read) -> Request | None:
        """The call of a group."""
        rows = list(_addressed(group.rows, read))
        return requests.bulk_events(rows) if group.bulk else requests.single_event(rows[0])

    def _looks_for(self, row: Row) -> bool:
        return row.again or selected(row.op["op_id"], self.share)

    def cut(self, rows: Sequence[Row]) -> list[list[Row]]:
        """Events go as they are taken."""
        return [list(rows)]

    def accepted(
        self,
        group: Group,
        reply: Reply | None,
        settled: Sequence[Settled],
    ) -> tuple[list[Settled], dict[bytes, bytes]]:
        """A 202 has no body: a receipt says what to look for."""
        taken = [end.row for end in settled if end.outcome == Outcome.DELIVERED and self._looks_for(end.row)]
        if not taken:
            return list(settled), {}
        looks = receipts.LOOKS if taken[0].again else 0
        # the call was planned then; its answer may have come up to a bulk call's time-out later
        due = group.at_ms + self.after_ms + min(self.after_ms // 10, _LASTS_MS)
        return list(settled), dict([receipts.write(taken, group.id, looks, group.at_ms, due)])

    def rejected(self, ends: Sequence[Settled]) -> tuple[list[Settled], dict[bytes, bytes | None]]:
        """A number alone is no reason to lose an event."""
        return numbers.over(self, ends), {}


def _addressed(rows: Sequence[Row], read: Read) -> Iterator[EventRow]:
    """Events under their people's newest addresses; in doubt only where a user id says whose they are."""
    person, said = "", addresses.NOTHING
    for row in rows:
        if row.person != person:  # the rows of one stand together
            person, said = row.person, addresses.known(row, read)
        now = addresses.newer(row, said) if said else None
        stays = row.tried and not row.op["profile"]["user_id"]
        yield requests.addressed(row.ready, now) if now and not stays else row.ready
