"""Route: rules turn an event into operations for each account of its space. It keeps no state."""

from typing import ClassVar, cast

import orjson

from streams.engine import topics
from streams.engine.errors import Unreadable
from streams.engine.inbox import Batch, Record
from streams.engine.outbox import Outbox
from streams.engine.slot import Slot
from streams.engine.stage import Context, run_batches
from streams.engine.telemetry import counter
from streams.ledger.reasons import Outcome, Reason
from streams.ledger.writer import Ledger, origin_of_unreadable
from streams.route.engagement import engagement_call
from streams.route.merges import merges
from streams.route.observing import TOPIC as CONSENT
from streams.route.observing import observed
from streams.route.rules import Routed, Router, compile_rules
from streams.segment.envelope import Engagement, Envelope, Origin, ProfileEvent

_SLIMMED = counter("streams_payloads_slimmed", "Payloads of which something was left out so that they fit.")


class Route:
    """``profile.events`` → ``klaviyo.*`` and ``segment.outbound``."""

    name: ClassVar[str] = "route"
    inputs: ClassVar[tuple[str, ...]] = topics.inputs("route")
    packed: ClassVar[bool] = False
    schemas: ClassVar[tuple[str, ...]] = (
        "segment.events",
        "klaviyo.engagement",
        "profile.events",
        "klaviyo.events",
        "outcomes",
        "dead.letters",
    )

    def __init__(self, context: Context) -> None:
        codec = context.registry.codec
        self._config = context.config
        self._registry = context.registry
        self._slots = context.slots
        self._router: Router = compile_rules(context.config)
        self._profile_event = codec("profile_event").decode
        self._envelope = codec("envelope").decode
        self._engagement = codec("engagement").decode
        self._operation = codec("operation").encode
        self._ledger = Ledger(context.registry, self.name)

    async def run(self, slot: Slot) -> None:
        """Live one partition."""
        await run_batches(slot, self._registry, self.step)

    async def close(self) -> None:
        """Nothing is shared."""

    def step(self, batch: Batch, slot: Slot) -> Outbox | None:
        """One batch: each event to its operations, or to the rule that keeps it back."""
        if not batch.records:
            return None
        outbox = Outbox()
        last = None
        slimmed = 0
        for record in batch.records:
            try:
                found = cast("ProfileEvent", self._profile_event(record.value))
                event_id, routed = self._answer(found)
                self._write(outbox, batch, record, found["origin"], event_id, routed)
                last = found["origin"]["accepted_at"]
                slimmed += routed.slimmed
            except Unreadable as why:
                origin = origin_of_unreadable(batch.topic, slot.partition, record)
                letter = self._ledger.dead_letter(origin, "", Reason.UNREADABLE, str(why), record.value)
                outbox.dead_letter(letter)
        outbox.position(batch.topic, batch.records[-1].offset + 1, last)
        if slimmed:
            _SLIMMED.add(slimmed)
        return outbox

    def _answer(self, found: ProfileEvent) -> tuple[str, Routed]:
        """The event's id and what the rules make of it."""
        if found["origin"]["line"].startswith("engagement"):
            engagement = cast("Engagement", self._engagement(found["event"]))
            return engagement["event_id"], self._back(engagement, found)
        envelope = cast("Envelope", self._envelope(found["event"]))
        message = orjson.loads(envelope["body"])
        who, origin = found["profile"], found["origin"]
        routed = self._router.route(message, envelope, who, origin, found["late"])
        if found["merged"]:
            accounts = self._config.accounts_of(envelope["space"])
            routed.operations += merges(accounts, envelope, origin, who, found["merged"])
        return envelope["event_id"], routed

    def _back(self, engagement: Engagement, found: ProfileEvent) -> Routed:
        """What goes to Segment, and what the consent lane is told."""
        who, origin, account = found["profile"], found["origin"], engagement["account"]
        answer = engagement_call(self._config, engagement, who, origin)
        routed = [("segment.outbound", account, answer)] if not isinstance(answer, str) else []
        seen = observed(engagement, who, origin) if account in self._config.accounts else None
        if seen is not None:
            routed.append((CONSENT, account, seen))
        filtered = answer if isinstance(answer, str) and not routed else None
        return Routed(operations=routed, filtered=filtered, refusals=[], unmapped=[], matched=[])

    def _write(
        self, outbox: Outbox, batch: Batch, record: Record, origin: Origin, event_id: str, routed: Routed
    ) -> None:
        for topic, account, operation in routed.operations:
            key = f"{account}\0{operation['profile']['id']}".encode()
            outbox.send(batch.onward(topic), self._slots.account(account), key, self._operation(operation))
        for account, reason, detail in routed.refusals:
            letter = self._ledger.dead_letter(
                origin, event_id, Reason(reason), detail, record.value, account=account
            )
            outbox.dead_letter(letter)
        if routed.operations:
            ids = [operation["op_id"] for _, _, operation in routed.operations]
            why = _left_out(routed)
            outbox.outcome(self._ledger.outcome(origin, event_id, Outcome.ROUTED, why, deliveries=ids))
        elif not routed.refusals:
            outbox.outcome(self._ledger.outcome(origin, event_id, Outcome.FILTERED, routed.filtered))


def _left_out(routed: Routed) -> str | None:
    """What of a message could not be used where it belongs, for its outcome."""
    names = ",".join(dict.fromkeys(routed.unmapped))
    return f"{Reason.FIELD_IGNORED}:{names[:1000]}" if names else None
