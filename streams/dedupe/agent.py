"""Dedupe: an event seen before goes no further; the rest goes to its space with its origin."""

from typing import ClassVar, cast

from streams.dedupe.marks import bucket_of, candidates, ends_soon, expired, first_seen
from streams.engine import topics
from streams.engine.errors import Unreadable
from streams.engine.inbox import Batch, Record
from streams.engine.outbox import Outbox
from streams.engine.slot import Slot
from streams.engine.stage import Context, run_batches
from streams.ledger.reasons import Outcome, Reason
from streams.ledger.writer import Ledger, origin_of_unreadable
from streams.segment.envelope import Identity, Lead, Origin

DAY_MS = 86_400_000


class Dedupe:
    """``segment.events`` → ``segment.unique``."""

    name: ClassVar[str] = "dedupe"
    inputs: ClassVar[tuple[str, ...]] = topics.inputs("dedupe")
    packed: ClassVar[bool] = True
    schemas: ClassVar[tuple[str, ...]] = ("segment.events", "segment.unique", "outcomes", "dead.letters")

    def __init__(self, context: Context) -> None:
        self._registry = context.registry
        self._slots = context.slots
        self._window_ms = int(context.config.dedupe.window_days * DAY_MS)
        envelope = context.registry.codec("envelope")
        self._whole = envelope.decode
        self._lead = envelope.prefix(upto="accepted_at")
        self._identity = envelope.prefix(upto="event_id")
        self._unique = context.registry.codec("unique").encode
        self._ledger = Ledger(context.registry, self.name)

    async def run(self, slot: Slot) -> None:
        """Live one partition."""
        await run_batches(slot, self._registry, self.step)

    async def close(self) -> None:
        """Nothing is shared."""

    def step(self, batch: Batch, slot: Slot) -> Outbox | None:
        """One batch: look its marks up, mark what is new, send it on."""
        if not batch.records:
            self._forget(slot)
            return None
        outbox = Outbox()
        leads: list[tuple[Record, Lead]] = []
        for record in batch.records:
            try:
                leads.append((record, self._read(record.value)))
            except Unreadable as why:
                self._refuse(outbox, record, batch.topic, slot.partition, why)
        uids = [lead["uid"] for _, lead in leads]
        keys = [self._candidates(lead) for _, lead in leads]
        found = slot.store.get_many([key for own in keys for key in own])
        line, onward = topics.line(batch.topic), batch.onward("segment.unique")
        for (record, lead), own, new in zip(leads, keys, first_seen(found, uids, keys), strict=True):
            origin = Origin(
                line=line,
                space=lead["space"],
                partition=slot.partition,
                offset=record.offset,
                accepted_at=lead["accepted_at"],
                replay=None,
            )
            if new:
                outbox.put(own[-1], b"")
                value = self._unique({"event": record.value, "origin": origin})
                outbox.send(onward, self._slots.space(lead["space"]), record.key, value)
            else:
                try:
                    self._duplicate(outbox, record, origin)
                except Unreadable as why:
                    self._refuse(outbox, record, batch.topic, slot.partition, why)
        last = leads[-1][1]["accepted_at"] if leads else None
        outbox.position(batch.topic, batch.records[-1].offset + 1, last)
        return outbox

    def _read(self, value: bytes) -> Lead:
        """The first fields. Raises Unreadable: what is none may begin like one, but of no known space."""
        lead = cast("Lead", self._lead(value))
        if lead["space"] not in self._slots.spaces:
            self._whole(value)
        return lead

    def _forget(self, slot: Slot) -> None:
        """Drop what is too old, if anything is: each dropped range costs the reads behind it."""
        begin, end = expired(bucket_of(slot.clock, self._window_ms))
        oldest = next(slot.store.scan(begin[:1]), None)
        if oldest is not None and oldest[0] < end:
            slot.store.drop_range(begin, end)

    def _candidates(self, lead: Lead) -> list[bytes]:
        at, window_ms = lead["accepted_at"], self._window_ms
        return candidates(bucket_of(at, window_ms), lead["uid"], ahead=ends_soon(at, window_ms))

    def _duplicate(self, outbox: Outbox, record: Record, origin: Origin) -> None:
        event_id = cast("Identity", self._identity(record.value))["event_id"]
        outbox.outcome(self._ledger.outcome(origin, event_id, Outcome.DUPLICATE, Reason.SEEN_BEFORE))

    def _refuse(self, outbox: Outbox, record: Record, topic: str, partition: int, why: Unreadable) -> None:
        origin = origin_of_unreadable(topics.line(topic), partition, record)
        outbox.dead_letter(self._ledger.dead_letter(origin, "", Reason.UNREADABLE, str(why), record.value))
