"""Feedback: Klaviyo's engagement reaches Segment, in order, in batches, once."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import islice
from random import uniform
from time import time
from typing import ClassVar, Final, NamedTuple, cast

from streams.engine import topics
from streams.engine.errors import Unreadable
from streams.engine.inbox import Batch, Record
from streams.engine.outbox import Outbox
from streams.engine.slot import Slot
from streams.engine.stage import Context
from streams.engine.telemetry import log
from streams.feedback.sent import forgettable, remember, sent_key
from streams.klaviyo.operation import Operation
from streams.ledger.reasons import Outcome, Reason
from streams.ledger.writer import Ledger, origin_of_unreadable
from streams.segment.client import (
    MAX_BATCH_BYTES,
    MAX_BATCH_CALLS,
    MAX_CALL_BYTES,
    Reply,
    SegmentClient,
    chunks,
)

LANE: Final = "segment"
STOPPED_PROBE_S: Final = 30.0
FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 30.0
FORGOTTEN_A_TICK: Final = 2000


class Call(NamedTuple):
    """One call, and the record that asks for it."""

    operation: Operation
    value: bytes

    @property
    def size(self) -> int:
        """Bytes of its body."""
        return len(self.operation["payload"])


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


class Feedback:
    """``segment.outbound`` → Segment. Sent, then committed: what goes twice has the same messageId."""

    name: ClassVar[str] = "feedback"
    inputs: ClassVar[tuple[str, ...]] = topics.inputs("feedback")
    packed: ClassVar[bool] = False
    schemas: ClassVar[tuple[str, ...]] = ("segment.outbound", "outcomes", "dead.letters")

    def __init__(self, context: Context) -> None:
        self._accounts = context.config.accounts
        self._registry = context.registry
        self._control = context.control
        self._operation = context.registry.codec("operation").decode
        self._ledger = Ledger(context.registry, self.name)
        self._client = SegmentClient(context.config.deliver.timeout_s)

    async def run(self, slot: Slot) -> None:
        """Live the accounts of one slot."""
        async for batch in slot.batches():
            await self._registry.learn(record.value for record in batch.records)
            for part in parts(batch):
                outbox = await self.step(part, slot)
                if outbox is not None:
                    await slot.commit(outbox)

    async def close(self) -> None:
        """End the session."""
        await self._client.close()

    async def step(self, batch: Batch, slot: Slot) -> Outbox | None:
        """Send one part of a batch; a tick forgets what was sent long ago."""
        outbox = Outbox()
        if not batch.records:
            for key in islice(forgettable(slot.store.scan(b"t"), int(time() * 1000)), FORGOTTEN_A_TICK):
                outbox.delete(key)
            return outbox if outbox.changes else None
        last = None
        for account, calls in self._new(batch, slot, outbox).items():
            for call in calls:
                if call.size > MAX_CALL_BYTES:
                    self._refuse(outbox, call, Reason.TOO_LARGE, f"{call.size} bytes", None)
            await self._send(account, [call for call in calls if call.size <= MAX_CALL_BYTES], slot, outbox)
            last = calls[-1].operation["origin"]["accepted_at"]
        if slot.revoked.is_set():
            return None
        outbox.position(batch.topic, batch.records[-1].offset + 1, last)
        return outbox

    def _new(self, batch: Batch, slot: Slot, outbox: Outbox) -> dict[str, list[Call]]:
        """The batch's calls that Segment does not have, by account, in order."""
        read: list[Call] = []
        for record in batch.records:
            try:
                read.append(Call(cast("Operation", self._operation(record.value)), record.value))
            except Unreadable as why:
                self._unreadable(outbox, batch.topic, record, slot, why)
        sent = slot.store.get_many([sent_key(call.operation["op_id"]) for call in read])
        new: dict[str, list[Call]] = {}
        seen: set[str] = set()
        for call, mark in zip(read, sent, strict=True):
            operation = call.operation
            if mark is not None or operation["op_id"] in seen:
                self._say(outbox, operation, Outcome.DUPLICATE, Reason.SENT_BEFORE)
            else:
                new.setdefault(operation["account"], []).append(call)
            seen.add(operation["op_id"])
        return new

    async def _send(self, account: str, calls: list[Call], slot: Slot, outbox: Outbox) -> None:
        """Send in order; refused requests are halved until the calls that are refused alone are found."""
        left = iter(calls)
        requests = chunks([call.operation["payload"] for call in calls])
        waiting = [list(islice(left, len(request))) for request in requests]
        while waiting and not slot.revoked.is_set():
            part = waiting.pop(0)
            reply = await self._until_answered(account, part, slot)
            if reply is None:
                return
            if reply.verdict == "accepted":
                for call in part:
                    self._say(outbox, call.operation, Outcome.DELIVERED, Reason.ACCEPTED)
                    for key, value in remember(call.operation["op_id"], int(time() * 1000)):
                        outbox.put(key, value)
            elif len(part) > 1:
                waiting[:0] = [part[: len(part) // 2], part[len(part) // 2 :]]
            else:
                self._refuse(outbox, part[0], Reason.REJECTED, f"Segment answered {reply.status}", reply)

    async def _until_answered(self, account: str, part: Sequence[Call], slot: Slot) -> Reply | None:
        """Accepted or rejected, however long it takes; None when the slot is revoked before that."""
        known = self._accounts.get(account)
        side = known.segment if known is not None else None
        if side is None:
            log.error("segment_unknown", account=account, calls=len(part))
        longest_s = FIRST_PAUSE_S
        while not slot.revoked.is_set():
            if side is not None and self._control.paused(account, LANE) is None:
                calls = [call.operation["payload"] for call in part]
                reply = await self._client.send(side.url, side.write_key.get_secret_value(), calls)
                if reply.verdict in ("accepted", "rejected"):
                    return reply
                pause = STOPPED_PROBE_S if reply.verdict == "stopped" else uniform(0, longest_s)
                pause = max(pause, reply.retry_after_s or 0)
                level = log.error if reply.verdict == "stopped" else log.warning
                level(
                    "segment_waits",
                    account=account,
                    status=reply.status,
                    again_in_s=round(pause, 1),
                    body=reply.body[:200],
                )
                longest_s = min(longest_s * 2, LONGEST_PAUSE_S)
            else:
                pause = 1.0
            try:
                async with asyncio.timeout(pause):
                    await slot.revoked.wait()
            except TimeoutError:
                pass
        return None

    def _say(self, outbox: Outbox, operation: Operation, became: Outcome, reason: Reason) -> None:
        outbox.outcome(
            self._ledger.outcome(
                operation["origin"],
                operation["event_id"],
                became,
                reason,
                account=operation["account"],
                delivery_id=operation["op_id"],
            )
        )

    def _refuse(self, outbox: Outbox, call: Call, reason: Reason, detail: str, reply: Reply | None) -> None:
        operation = call.operation
        outbox.dead_letter(
            self._ledger.dead_letter(
                operation["origin"],
                operation["event_id"],
                reason,
                detail,
                call.value,
                account=operation["account"],
                lane=LANE,
                delivery_id=operation["op_id"],
                attempts=1,
                reply=None if reply is None else {"status": reply.status, "body": reply.body},
            )
        )

    def _unreadable(self, outbox: Outbox, topic: str, record: Record, slot: Slot, why: Unreadable) -> None:
        origin = origin_of_unreadable(topic, slot.partition, record)
        outbox.dead_letter(self._ledger.dead_letter(origin, "", Reason.UNREADABLE, str(why), record.value))
