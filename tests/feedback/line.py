"""A way back for tests: calls in, a Segment that answers as it is told, lives of a slot between."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from time import time
from types import SimpleNamespace
from typing import Any

import orjson

from streams.feedback.agent import Feedback
from streams.segment.client import Reply
from tests.deliver.fake_slot import FakeSlot, Fuse, Killed, LogRecord, World, codec

TOPIC = "segment.outbound"
OK = Reply("accepted", 200, "")
AWAY = Reply("again", 503, "made up")
REFUSED = Reply("rejected", 400, "made up")
STOPPED = Reply("stopped", 401, "no such key")
Answer = Callable[[list[dict[str, Any]]], Reply]


def call(n: int, payload: dict[str, Any] | None = None) -> dict[str, Any]:
    """One operation of ``segment.outbound``."""
    origin = {
        "line": "engagement",
        "space": "acme",
        "partition": 0,
        "offset": n,
        "accepted_at": 1,
        "replay": None,
    }
    person = {"id": f"p{n}", "email": None, "phone": None, "user_id": f"u{n}", "anonymous_ids": []}
    return {
        "op_id": blake2b(b"%d" % n, digest_size=16).hexdigest(),
        "account": "acme",
        "kind": "segment",
        "origin": origin,
        "event_id": f"e{n}",
        "profile": person,
        "time": 1,
        "backfill": False,
        "payload": orjson.dumps({"messageId": f"klaviyo-e{n}"} | (payload or {})),
    }


@dataclass
class Segment:
    """Keeps the first of equal messageId, all or none of a request; dies at a call if the fuse says so."""

    answer: Answer = lambda _: OK
    fuse: Fuse = field(default_factory=Fuse)
    kept: list[str] = field(default_factory=list)
    received: list[list[str]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    async def send(self, _url: str, key: str, calls: list[bytes]) -> Reply:
        self.fuse.boundary()
        await asyncio.sleep(0)
        messages = [orjson.loads(each) for each in calls]
        ids = [message["messageId"] for message in messages]
        reply = self.answer(messages)
        self.received.append(ids)
        self.keys.append(key)
        if reply.verdict == "accepted":
            self.kept += [each for each in ids if each not in self.kept]
        self.fuse.boundary()
        return reply


@dataclass
class Line:
    """Lives of one slot on one durable world."""

    world: World = field(default_factory=World)
    segment: Segment = field(default_factory=Segment)
    pauses: dict[tuple[str, str], str] = field(default_factory=dict)
    key: str | None = "wk"
    probe_s: float = 0.005
    revoked: type[asyncio.Event] = asyncio.Event

    def put(self, *operations: dict[str, Any], age_ms: int = 0, topic: str = TOPIC) -> None:
        """Calls that came so long ago."""
        log = self.world.topics.setdefault(topic, [])
        for each in operations:
            at = int(time() * 1000) - age_ms
            log.append(LogRecord(len(log), None, codec("operation").encode(each), at))

    def stage(self) -> Feedback:
        """A process."""

        async def learn(_: object) -> None:
            """All schemas are known."""

        side = None
        if self.key is not None:
            side = SimpleNamespace(url="", write_key=SimpleNamespace(get_secret_value=lambda: self.key))
        context: Any = SimpleNamespace(
            config=SimpleNamespace(
                accounts={"acme": SimpleNamespace(segment=side)},
                deliver=SimpleNamespace(timeout_s=1, probe_s=self.probe_s),
            ),
            registry=SimpleNamespace(codec=codec, learn=learn),
            control=SimpleNamespace(paused=lambda *lane: self.pauses.get(lane)),
        )
        made = Feedback(context)
        made._client = self.segment  # type: ignore[assignment]
        return made

    @contextlib.asynccontextmanager
    async def life(self) -> AsyncIterator[asyncio.Task[None]]:
        """A process until it is killed, or told to go at the end."""
        slot: Any = FakeSlot(self.world, self.segment.fuse, batch=2_000)
        slot.revoked = self.revoked()
        running = asyncio.create_task(self.stage().run(slot))
        try:
            yield running
        finally:
            slot.revoked.set()
            with contextlib.suppress(Killed):
                await running

    async def until(self, holds: Callable[[], Any], timeout_s: float = 10.0) -> bool:
        """Whether it comes true in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not holds():
                    await asyncio.sleep(0.002)
        return bool(holds())

    def said(self) -> Any:
        """Why and since when nothing is sent, as the positions say."""
        found = [
            p["stopped"] for p in self.world.positions.values() if isinstance(p, dict) and "stopped" in p
        ]
        assert len(found) <= 1
        return found[0] if found else None

    def ended(self) -> bool:
        """Whether all is done."""
        return {topic: len(log) for topic, log in self.world.topics.items()} == self.world.positions
