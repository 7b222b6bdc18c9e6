"""The deliver stage: one slot is one account, each family of operations a lane with a loop of its own."""

import asyncio
from collections.abc import Mapping
from typing import ClassVar

from streams.config.model import Account
from streams.config.sections import Lists as ListSettings
from streams.deliver import newcomers, spending
from streams.deliver.admin import Admin
from streams.deliver.budget import SLICE_S
from streams.deliver.consent.family import Consent
from streams.deliver.desk import Desk
from streams.deliver.events import Events
from streams.deliver.family import Family
from streams.deliver.lists.brake import LaneBrake
from streams.deliver.lists.family import Lists
from streams.deliver.lists.guard import Brake, Guard, NewBrake
from streams.deliver.lists.naming import Naming
from streams.deliver.occupancy import Occupancy
from streams.deliver.profiles.family import Profiles
from streams.deliver.reading.polling import Poll
from streams.deliver.reading.polling import Settings as PollSettings
from streams.deliver.reading.readback import ReadBack
from streams.deliver.reading.readback import Settings as LookSettings
from streams.deliver.sending.sender import LEAVE_S, Sender
from streams.deliver.spending import Spending
from streams.engine import topics
from streams.engine.slot import Slot
from streams.engine.stage import Context
from streams.engine.telemetry import log
from streams.klaviyo.budgets import LIMITS
from streams.klaviyo.client import Client


def families(
    lists: ListSettings,
    occupancy: Occupancy,
    brake: NewBrake = lambda _: Brake(),
    timeout_s: float = 10.0,
    events: Events | None = None,
) -> tuple[Family, ...]:
    """The lanes of one account; ``brake`` gives each the means to pause itself."""
    naming = Naming(int((SLICE_S + timeout_s) * 1000))
    return (
        events or Events(),
        Profiles(),
        Lists(lists.create, Guard(lists.guard_share, brake=brake("lists")), naming),
        Consent(lists.create, naming, Guard(lists.guard_share, lists.guard_unsubscribes, brake("consent"))),
        Admin(occupancy),
    )


class Deliver:
    """The stage."""

    name: ClassVar[str] = "deliver"
    inputs: ClassVar[tuple[str, ...]] = topics.inputs("deliver")
    packed: ClassVar[bool] = False
    schemas: ClassVar[tuple[str, ...]] = (
        "klaviyo.events",
        "klaviyo.engagement",
        "outcomes",
        "dead.letters",
    )

    def __init__(self, context: Context) -> None:
        self._context = context

    async def run(self, slot: Slot) -> None:
        """Deliver one account's operations until the partition goes elsewhere."""
        account = self._account(slot.partition)
        if account is None:
            log.warning("slot_without_account", partition=slot.partition)
            await slot.revoked.wait()
            return
        client = self._client(account)
        try:
            await self._deliver(slot, self._desk(account, client, slot), account)
        finally:
            await client.close()

    async def close(self) -> None:
        """Nothing is shared by the slots."""

    def _account(self, partition: int) -> Account | None:
        context = self._context
        accounts = context.config.accounts
        found = [name for name in accounts if context.slots.account(name) == partition]
        return accounts[found[0]] if found else None

    def _client(self, account: Account) -> Client:
        settings = self._context.config.deliver
        return Client(
            account.klaviyo.url,
            account.klaviyo.api_key.get_secret_value(),
            timeout_s=settings.timeout_s,
            bulk_timeout_s=settings.bulk_timeout_s,
            revision=account.revision,
        )

    def _desk(self, account: Account, client: Client, slot: Slot) -> Desk:
        context = self._context
        limits = {name: limit.less(account.headroom) for name, limit in LIMITS.items()}
        desk = Desk(
            account=account.name,
            space=account.space,
            client=client,
            spending=Spending(limits),
            decode=context.registry.codec("operation").decode,
            outcome=context.registry.codec("outcome").encode,
            dead_letter=context.registry.codec("dead_letter").encode,
            paused=lambda family: context.control.paused(account.name, family),
            tries=context.config.deliver.attempts,
            backfill_share=context.config.deliver.backfill_share,
            probe_s=context.config.deliver.probe_s,
            new_profiles_per_day=account.new_profiles_per_day,
        )
        desk.newcomers.restore(slot.store.scan(newcomers.PREFIX))
        desk.spending.restore(slot.store.scan(spending.PREFIX), desk.clock(), desk.now_ms())
        return desk

    async def _deliver(self, slot: Slot, desk: Desk, account: Account) -> None:
        config = self._context.config
        brakes: list[LaneBrake] = []

        def brake(lane: str) -> LaneBrake:
            brakes.append(LaneBrake(config, desk.account, lane, lambda: desk.paused(lane)))
            return brakes[-1]

        after_ms = int(config.deliver.readback_minutes * 60_000)
        events = Events(share=config.deliver.confirm_share, after_ms=after_ms)
        lanes = families(config.lists, desk.occupancy, brake, config.deliver.timeout_s, events)
        senders = [Sender(desk, family, slot) for family in lanes]
        by_topic = {topic: sender for sender in senders for topic in sender.topics}
        feeding = asyncio.create_task(self._feed(slot, by_topic))
        looks = LookSettings(after_ms, config.deliver.readback_pages, self._context.registry.learn_sync)
        looking = ReadBack(desk, slot, by_topic["klaviyo.events"], looks)
        parts: list[Poll | Sender | ReadBack] = [*self._polls(slot, desk, account), looking, *senders]
        running = [asyncio.create_task(part.run()) for part in parts]
        try:
            await asyncio.wait([feeding, *running], return_when=asyncio.FIRST_COMPLETED)
            for part in parts:
                part.stop()
            if feeding.done() and feeding.exception() is None:
                await asyncio.wait(running, timeout=LEAVE_S)
        finally:
            for task in (feeding, *running):
                task.cancel()
            ends = await asyncio.gather(feeding, *running, return_exceptions=True)
            for each in brakes:
                await each.close()
        for end in ends:
            if isinstance(end, Exception):
                raise end

    def _polls(self, slot: Slot, desk: Desk, account: Account) -> list[Poll]:
        """The polling of engagement, where it is wanted."""
        minutes = account.klaviyo.poll_minutes
        if minutes is None:
            return []
        context = self._context
        partition = context.slots.space(account.space)
        encode = context.registry.codec("engagement").encode
        forward = context.config.engagement.forward
        return [Poll(desk, slot, PollSettings(minutes * 60, forward, partition, encode))]

    async def _feed(self, slot: Slot, by_topic: Mapping[str, Sender]) -> None:
        registry = self._context.registry
        async for batch in slot.batches():
            if batch.topic:
                await registry.learn(record.value for record in batch.records)
                await by_topic[batch.topic].feed(batch.topic, batch.records)
            else:
                # sent ids are the account's: one lane forgets for all
                by_topic["klaviyo.events"].tick()
