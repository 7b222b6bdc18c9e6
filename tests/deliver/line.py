"""A line for tests: operations in, a simulator of Klaviyo behind HTTP, lives of a slot between."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from time import time
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from streams.config.sections import Lists as ListSettings
from streams.deliver import newcomers
from streams.deliver.agent import families
from streams.deliver.desk import Desk
from streams.deliver.events import Events
from streams.deliver.lists.guard import Brake, NewBrake
from streams.deliver.reading.polling import Poll
from streams.deliver.reading.polling import Settings as Polling
from streams.deliver.reading.readback import ReadBack, Settings
from streams.deliver.sending.sender import Sender
from streams.deliver.spending import PREFIX, Spending
from streams.klaviyo.budgets import LIMITS, Limit
from streams.klaviyo.client import Client
from streams.klaviyo.operation import FAMILIES
from streams.klaviyo.replies import Reply
from streams.klaviyo.requests import Request
from streams.simulators.klaviyo.config import SimConfig
from streams.simulators.klaviyo.server import make_app
from tests.deliver.fake_slot import FakeSlot, Fuse, Killed, World, codec

KEY = "pk_test"
FREE = {name: {"burst": 10_000, "steady": 100_000} for name in LIMITS}
"""The simulator's budgets for tests of what is sent, not of how fast."""
WIDE = {name: Limit(10_000, 100_000, at_once=10_000) for name in LIMITS}


def operation(n: int, who: int | None = None, kind: str = "event", **over: Any) -> dict[str, Any]:
    who = n if who is None else who
    payload = over.pop("payload", {"metric": "Viewed", "properties": {"n": n}, "value": 1.5})
    now = int(time() * 1000)
    return {
        "op_id": blake2b(f"{kind}{n}".encode(), digest_size=16).hexdigest(),
        "account": "acme",
        "kind": kind,
        "origin": {
            "line": "events", "space": "acme", "partition": 0, "offset": n, "accepted_at": now,
            "replay": None,
        },
        "event_id": f"m{n}",
        "profile": {
            "id": f"p{who}", "email": f"u{who}@shop.io", "phone": None, "user_id": f"user{who}",
            "anonymous_ids": [f"anon{who}"],
        },
        "time": now,
        "backfill": False,
        "payload": orjson.dumps(payload),
    } | over  # fmt: skip


class KillableClient(Client):
    """Dies before or after a call, as the fuse says."""

    fuse: Fuse

    async def call(self, request: Request, valid_until: float) -> Reply | None:
        self.fuse.boundary()
        reply = await super().call(request, valid_until)
        self.fuse.boundary()
        return reply


@dataclass
class Sim:
    """The simulator and its control surface."""

    url: str
    session: aiohttp.ClientSession

    async def get(self, view: str) -> Any:
        async with self.session.get(f"{self.url}/sim/{view}") as reply:
            return await reply.json()

    async def events(self) -> list[dict[str, Any]]:
        return (await self.get("events"))["data"]  # type: ignore[no-any-return]

    async def requests(self, path: str = "") -> list[dict[str, Any]]:
        async with self.session.get(f"{self.url}/sim/requests") as reply:
            lines = [orjson.loads(line) for line in (await reply.text()).splitlines()]
        return [line for line in lines if path in line["path"]]

    async def put(self, **config: Any) -> None:
        async with self.session.put(f"{self.url}/sim/config", json=config) as reply:
            assert reply.status == 200, await reply.text()

    async def fault(self, match: dict[str, Any], do: dict[str, Any], **how: Any) -> str:
        async with self.session.post(
            f"{self.url}/sim/faults", json={"match": match, "do": do, **how}
        ) as reply:
            assert reply.status == 201, await reply.text()
            return str((await reply.json())["id"])

    async def heal(self) -> None:
        async with self.session.delete(f"{self.url}/sim/faults") as reply:
            assert reply.status == 204


@contextlib.asynccontextmanager
async def simulator(**config: Any) -> AsyncIterator[Sim]:
    runner = web.AppRunner(
        make_app(SimConfig(keys={KEY: "acme"}, **config)), access_log=None, shutdown_timeout=0.1
    )
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    async with aiohttp.ClientSession() as session:
        try:
            yield Sim(f"http://{host}:{port}", session)
        finally:
            await runner.cleanup()


async def make_profile(sim: Sim, **attributes: Any) -> str:
    body = {"data": {"type": "profile", "attributes": attributes}}
    headers = {"Authorization": f"Klaviyo-API-Key {KEY}", "revision": "2026-07-15"}
    async with sim.session.post(f"{sim.url}/api/profiles", json=body, headers=headers) as reply:
        assert reply.status == 201, await reply.text()
        return str((await reply.json())["data"]["id"])


@dataclass
class Line:
    """Lives of one slot on one durable world."""

    url: str
    world: World = field(default_factory=World)
    limits: dict[str, Limit] = field(default_factory=lambda: dict(WIDE))
    timeout_s: float = 1.0
    key: str = KEY
    pauses: dict[str, str] = field(default_factory=dict)
    probe_s: float = 0.2
    tries: int = 4
    lists: ListSettings = field(default_factory=ListSettings)
    brake: NewBrake = lambda _: Brake()
    share: float = 0.0
    """Of the events that are read back after a 202."""
    after_ms: int = 200
    pages: int = 20
    poll: Polling | None = None
    slot: FakeSlot | None = None

    def put(self, *operations: dict[str, Any], topic: str | None = None, gap: int = 0) -> None:
        for op in operations:
            name = topic or f"klaviyo.{FAMILIES[op['kind']]}"
            self.world.append(name, codec("operation").encode(op), gap)
        if self.slot:
            self.slot.arrived()

    @contextlib.asynccontextmanager
    async def life(self, fuse: Fuse | None = None) -> AsyncIterator[FakeSlot]:
        """One process; on leaving it is cut off like by kill -9."""
        fuse = fuse or Fuse()
        slot = self.slot = FakeSlot(self.world, fuse)
        client = KillableClient(self.url, self.key, timeout_s=self.timeout_s, bulk_timeout_s=self.timeout_s)
        client.fuse = fuse
        desk = Desk(
            "acme", "acme", client, Spending(self.limits), codec("operation").decode,
            codec("outcome").encode, codec("dead_letter").encode, self.pauses.get,
            tries=self.tries, probe_s=self.probe_s,
        )  # fmt: skip
        desk.newcomers.restore(slot.store.scan(newcomers.PREFIX))
        desk.spending.restore(slot.store.scan(PREFIX), desk.clock(), desk.now_ms())
        events = Events(share=self.share, after_ms=self.after_ms)
        lanes = families(self.lists, desk.occupancy, self.brake, self.timeout_s, events)
        senders = [Sender(desk, family, slot) for family in lanes]  # type: ignore[arg-type]
        by_topic = {topic: sender for sender in senders for topic in sender.topics}

        async def feed() -> None:
            async for batch in slot.batches():
                await by_topic[batch.topic].feed(batch.topic, batch.records)

        looks = Settings(self.after_ms, self.pages)
        parts: list[Any] = [*senders]
        if self.share:
            parts.append(ReadBack(desk, slot, by_topic["klaviyo.events"], looks))  # type: ignore[arg-type]
        if self.poll:
            parts.append(Poll(desk, slot, self.poll))  # type: ignore[arg-type]
        tasks = [asyncio.create_task(feed()), *(asyncio.create_task(part.run()) for part in parts)]
        self.tasks = tasks
        try:
            yield slot
        finally:
            for task in tasks:
                task.cancel()
            for end in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(end, Exception) and not isinstance(end, Killed):
                    raise end
            await client.close()

    async def until(self, done: Callable[[], bool], seconds: float = 20.0) -> bool:
        """Wait until done or killed; True when done."""
        async with asyncio.timeout(seconds):
            while not done():
                if self.slot is not None and self.slot.fuse.burnt.is_set():
                    return False
                for task in self.tasks:
                    if task.done() and not task.cancelled() and (error := task.exception()):
                        raise error
                await asyncio.sleep(0.005)
        return True

    async def drain(self, seconds: float = 20.0) -> None:
        """Run one life until everything has an outcome."""
        async with self.life():
            assert await self.until(self.all_ended, seconds)

    def all_ended(self) -> bool:
        ends = {t: log[-1].offset + 1 for t, log in self.world.topics.items()}
        positions = self.world.positions
        return all(t in positions and positions[t]["next"] >= end for t, end in ends.items())
