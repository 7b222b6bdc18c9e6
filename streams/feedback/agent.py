"""Feedback: Klaviyo's engagement reaches Segment, in order, in batches, once."""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from random import uniform
from typing import ClassVar, Final, cast

from streams.engine import topics
from streams.engine.control import now_ms
from streams.engine.errors import Unreadable
from streams.engine.inbox import Batch, Record
from streams.engine.lanes import SEGMENT
from streams.engine.outbox import Outbox
from streams.engine.slot import Slot
from streams.engine.stage import Context
from streams.engine.telemetry import log
from streams.feedback.calls import Call, alike, halves, parts
from streams.feedback.sent import forgettable, remember, sent_key
from streams.feedback.standing import passed, standing, stands
from streams.klaviyo.operation import Operation
from streams.ledger import ageing
from streams.ledger.reasons import Outcome, Reason
from streams.ledger.writer import Ledger, origin_of_unreadable
from streams.segment.client import MAX_CALL_BYTES, Reply, SegmentClient

FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 30.0
LOOK_S: Final = 1.0
"""How often it is looked whether a pause is over."""
FORGOTTEN_A_TICK: Final = 2000
REFUSALS: Final = 20
"""So many calls running refused alone: it is hardly the calls."""


class Feedback:
    """``segment.outbound`` → Segment. Sent, then committed: what goes twice has the same messageId."""

    name: ClassVar[str] = "feedback"
    inputs: ClassVar[tuple[str, ...]] = topics.inputs("feedback")
    packed: ClassVar[bool] = False
    schemas: ClassVar[tuple[str, ...]] = ("segment.outbound", "outcomes", "dead.letters")

    def __init__(self, context: Context) -> None:
        self._accounts = context.config.accounts
        self._probe_s = context.config.deliver.probe_s
        self._registry = context.registry
        self._control = context.control
        self._operation = context.registry.codec("operation").decode
        self._ledger = Ledger(context.registry, self.name)
        self._client = SegmentClient(context.config.deliver.timeout_s)
        self._refusals: Counter[int] = Counter()
        """Slot → calls refused alone since any was taken."""
        self._told_at: dict[str, int] = {}
        """Account → when it was last told (ms) that its calls are old."""

    async def run(self, slot: Slot) -> None:
        """Live the account of one slot."""
        async for batch in slot.batches():
            await self._registry.learn(record.value for record in batch.records)
            waiting = deque(parts(batch))
            while waiting and not slot.revoked.is_set():
                waiting.extendleft(reversed(await self.step(waiting.popleft(), slot)))

    async def close(self) -> None:
        """End the session."""
        await self._client.close()

    async def step(self, part: Batch, slot: Slot) -> Sequence[Batch]:
        """Send one request and commit what became of it; a tick forgets what was sent long ago.

        Returns:
            The parts to send in its place, in order, where its calls can't all end in the same way.
        """
        outbox = Outbox()
        if not part.records:
            for key in islice(forgettable(slot.store.scan(b"t"), now_ms()), FORGOTTEN_A_TICK):
                outbox.delete(key)
            if outbox.changes:
                await slot.commit(outbox)
            return ()
        calls = self._new(part, slot, outbox)
        reply = await self._until_answered(part, calls, slot) if calls else None
        if reply is None and slot.revoked.is_set():
            return ()
        count = alike(calls, reply, now_ms())
        if count < len(calls):
            return halves(part, calls[count])
        for call in calls:
            self._end(outbox, call, reply)
        still = standing(slot) if reply is None or self._refusals[slot.partition] >= REFUSALS else None
        passed(slot, outbox, part.topic, part.records[-1].offset + 1, still)
        if calls:
            outbox.accepted_at[part.topic] = calls[-1].operation["origin"]["accepted_at"]
        await slot.commit(outbox)
        return ()

    def _new(self, part: Batch, slot: Slot, outbox: Outbox) -> list[Call]:
        """The calls of a part that Segment does not have and can take, in order; the others end."""
        read: list[Call] = []
        for record in part.records:
            try:
                read.append(Call(cast("Operation", self._operation(record.value)), record))
            except Unreadable as why:
                self._unreadable(outbox, part.topic, record, slot, why)
        sent = slot.store.get_many([sent_key(call.operation["op_id"]) for call in read])
        new: list[Call] = []
        seen: set[str] = set()
        for call, mark in zip(read, sent, strict=True):
            operation = call.operation
            if mark is not None or operation["op_id"] in seen:
                self._say(outbox, operation, Outcome.DUPLICATE, Reason.SENT_BEFORE)
            elif (size := len(operation["payload"])) > MAX_CALL_BYTES:
                self._refuse(outbox, call, Reason.TOO_LARGE, f"{size} bytes", None)
            else:
                new.append(call)
            seen.add(operation["op_id"])
        return new

    async def _until_answered(self, part: Batch, calls: Sequence[Call], slot: Slot) -> Reply | None:
        """Accepted or rejected, however long it takes; None when revoked, or the first can wait no longer."""
        account = calls[0].operation["account"]
        known = self._accounts.get(account)
        side = known.segment if known is not None else None
        if side is None:
            log.error("segment_unknown", account=account, calls=len(calls))
        longest_s, refused = FIRST_PAUSE_S, False
        while not slot.revoked.is_set():
            paused = self._control.paused(account, SEGMENT) is not None
            if (paused or standing(slot)) and self._too_old(account, calls[0]):
                return None
            why, pause_s = "", LOOK_S
            if side is None:
                why = f"accounts.{account}.segment.write_key is not set"
            elif not paused:
                payloads = [call.operation["payload"] for call in calls]
                reply = await self._client.send(side.url, side.write_key.get_secret_value(), payloads)
                if self._final(reply, slot, alone=len(calls) == 1, refused=refused):
                    return reply
                refused |= reply.verdict == "rejected"
                pause_s = self._waits(account, reply, longest_s)
                if reply.verdict != "again" or max(longest_s, pause_s) >= LONGEST_PAUSE_S:
                    why = f"HTTP {reply.status}: {reply.body[:200]}" if reply.status else reply.body[:200]
                longest_s = min(longest_s * 2, LONGEST_PAUSE_S)
            if why and (outbox := stands(slot, part, why, now_ms())) is not None:
                await slot.commit(outbox)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await slot.revoked.wait()
        return None

    def _final(self, reply: Reply, slot: Slot, *, alone: bool, refused: bool) -> bool:
        """Whether an answer ends its calls.

        Where one call after the other is refused it is hardly the calls: from then on each is tried once more
        after a while, and the account stands.
        """
        if reply.verdict == "accepted":
            self._refusals[slot.partition] = 0
        elif reply.verdict == "rejected" and alone:
            if self._refusals[slot.partition] >= REFUSALS and not refused:
                return False
            self._refusals[slot.partition] += 1
        return reply.verdict in ("accepted", "rejected")

    def _waits(self, account: str, reply: Reply, longest_s: float) -> float:
        """How long to wait after an answer that ends no call, in seconds; it is told of."""
        again = reply.verdict == "again"
        pause_s = max(uniform(0, longest_s) if again else self._probe_s, reply.retry_after_s or 0)
        level = log.warning if again else log.error
        facts = {"account": account, "status": reply.status, "body": reply.body[:200]}
        level("segment_waits", **facts, again_in_s=round(pause_s, 1))
        return pause_s

    def _too_old(self, account: str, oldest: Call) -> bool:
        """Whether a call can wait no longer; at half of that time somebody is told, once a day."""
        now = now_ms()
        age_ms = oldest.age_ms(now)
        if age_ms >= ageing.ALARM_MS and now >= self._told_at.get(account, 0) + ageing.TOLD_AGAIN_MS:
            self._told_at[account] = now
            days, kept_days = age_ms // topics.DAY_MS, ageing.KEPT_MS // topics.DAY_MS
            log.error("lane_old", account=account, lane=SEGMENT, days=days, kept_days=kept_days)
        return oldest.old(now)

    def _end(self, outbox: Outbox, call: Call, reply: Reply | None) -> None:
        """What became of a call; without an answer it waited too long."""
        if reply is None:
            self._refuse(outbox, call, Reason.RETENTION, ageing.WAITED, None)
        elif reply.verdict == "rejected":
            self._refuse(outbox, call, Reason.REJECTED, f"Segment answered {reply.status}", reply)
        else:
            self._say(outbox, call.operation, Outcome.DELIVERED, Reason.ACCEPTED)
            for key, value in remember(call.operation["op_id"], now_ms()):
                outbox.put(key, value)

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
                call.record.value,
                account=operation["account"],
                lane=SEGMENT,
                delivery_id=operation["op_id"],
                attempts=1,
                reply=None if reply is None else {"status": reply.status, "body": reply.body},
            )
        )

    def _unreadable(self, outbox: Outbox, topic: str, record: Record, slot: Slot, why: Unreadable) -> None:
        origin = origin_of_unreadable(topic, slot.partition, record)
        outbox.dead_letter(self._ledger.dead_letter(origin, "", Reason.UNREADABLE, str(why), record.value))
