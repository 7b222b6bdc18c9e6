"""What one request carries, and of which of its calls an answer tells. Pure."""

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import NamedTuple

from streams.engine.inbox import Batch, Record
from streams.klaviyo.operation import Operation
from streams.ledger.ageing import END_MS
from streams.segment.client import MAX_BATCH_BYTES, MAX_BATCH_CALLS, Reply


class Call(NamedTuple):
    """One call, and the record that asks for it."""

    operation: Operation
    record: Record

    def age_ms(self, now: int) -> int:
        """How long it has waited at ``now`` (ms)."""
        return now - self.record.timestamp if self.record.timestamp > 0 else 0

    def old(self, now: int) -> bool:
        """Whether it can wait no longer."""
        return self.age_ms(now) >= END_MS


def parts(batch: Batch) -> Iterator[Batch]:
    """A batch in parts of one request each; a tick is one.

    What a request brought is committed before the next is sent: that one may wait for days, and Segment knows
    a call that comes twice for one day only.
    """
    part: list[Record] = []
    size = 0
    for record in batch.records:
        if part and (size + len(record.value) > MAX_BATCH_BYTES or len(part) >= MAX_BATCH_CALLS):
            yield Batch(batch.topic, part)
            part, size = [], 0
        part.append(record)
        size += len(record.value)
    yield Batch(batch.topic, part)


def halves(part: Batch, before: Call) -> tuple[Batch, Batch]:
    """A part cut before a call of it that is not its first."""
    at = part.records.index(before.record)
    return Batch(part.topic, part.records[:at]), Batch(part.topic, part.records[at:])


def alike(calls: Sequence[Call], reply: Reply | None, now: int) -> int:
    """How many of the first calls end in the same way.

    Args:
        calls: of one request.
        reply: its answer, accepted or rejected: of a request that was rejected none knows which of its calls
            was. None = the first call was not sent, it can wait no longer.
        now: milliseconds since the epoch.
    """
    if reply is None:
        return sum(1 for _ in takewhile(lambda call: call.old(now), calls)) or 1
    return len(calls) if reply.verdict == "accepted" else max(len(calls) // 2, 1)
