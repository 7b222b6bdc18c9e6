"""The stage as the engine runs it: one slot, one account, until the partition goes elsewhere."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from streams.config.model import Config
from streams.deliver.agent import Deliver
from streams.engine.errors import Fenced
from streams.engine.outbox import Outbox
from tests.deliver.fake_slot import FakeSlot, World, codec
from tests.deliver.line import KEY, operation, simulator


class Registry:
    def codec(self, name: str) -> Any:
        return codec(name)

    async def learn(self, values: Any) -> None:
        list(values)

    def learn_sync(self, values: Any) -> None:
        list(values)


class Slots:
    def account(self, name: str) -> int:
        return {"acme": 0}[name]

    def space(self, name: str) -> int:
        return {"acme": 4}[name]


def context(url: str, **klaviyo: Any) -> Any:
    config = Config.model_validate(
        {
            "accounts": {"acme": {"klaviyo": {"api_key": KEY, "url": url, **klaviyo}}},
            "sources": {"web": {"accounts": ["acme"], "write_key": "k"}},
            "rules": [{"when": 'type = "identify"', "do": "profile"}],
        }
    )
    control = SimpleNamespace(paused=lambda account, lane: None)
    return SimpleNamespace(config=config, registry=Registry(), slots=Slots(), control=control)


async def until(done: Any) -> None:
    async with asyncio.timeout(20):
        while not done():
            await asyncio.sleep(0.01)


async def test_a_slot_delivers_until_it_goes_elsewhere() -> None:
    async with simulator() as sim:
        world = World()
        world.append("klaviyo.events", codec("operation").encode(operation(1)))
        slot = FakeSlot(world)
        stage = Deliver(context(sim.url))
        life = asyncio.create_task(stage.run(slot))  # type: ignore[arg-type]
        await until(lambda: world.outcomes)
        slot.revoked.set()
        async with asyncio.timeout(20):
            await life
        assert len(await sim.events()) == 1
        assert world.last() == {operation(1)["op_id"]: ("delivered", "accepted")}


async def test_an_account_that_wants_it_is_polled_into_the_slot_of_its_space() -> None:
    async with simulator() as sim:
        world = World()
        slot = FakeSlot(world)
        life = asyncio.create_task(Deliver(context(sim.url, poll_minutes=0.001)).run(slot))  # type: ignore[arg-type]
        asked = {"account": "acme", "email": "a@shop.io", "metric": "Opened Email"}
        async with sim.session.post(f"{sim.url}/sim/engage", json=asked) as reply:
            assert reply.status == 200
        await until(lambda: world.sent)
        slot.revoked.set()
        async with asyncio.timeout(20):
            await life
        ((partition, key, _),) = world.sent["klaviyo.engagement"]
        assert (partition, key) == (4, b"acme\0e:a@shop.io")
        assert "klaviyo.engagement" in Deliver.schemas


async def test_a_fenced_slot_says_so_and_sends_nothing() -> None:
    class Taken(FakeSlot):
        async def commit(self, outbox: Outbox) -> None:
            raise Fenced("taken over")

    async with simulator() as sim:
        world = World()
        world.append("klaviyo.events", codec("operation").encode(operation(1)))
        with pytest.raises(Fenced):
            await Deliver(context(sim.url)).run(Taken(world))  # type: ignore[arg-type]
        assert await sim.requests() == []


async def test_a_slot_without_an_account_waits() -> None:
    slot = FakeSlot(World())
    slot.partition = 7
    life = asyncio.create_task(Deliver(context("http://127.0.0.1:9")).run(slot))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    assert not life.done()
    slot.revoked.set()
    async with asyncio.timeout(20):
        await life
