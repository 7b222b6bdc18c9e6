"""A gateway on a free port whose records go to a list instead of Kafka."""

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from streams.config.sections import Gateway as Limits
from streams.engine.codec import Codec
from streams.engine.errors import Away
from streams.gateway.app import Gateway, State
from streams.gateway.connection import Server
from streams.gateway.doors import AccountDoor, SourceDoor, doors
from streams.gateway.metrics import Metrics
from streams.gateway.publish import Records
from streams.gateway.records import Encoders

PARTITIONS = 12
WRITE_KEY, OLD_KEY, TWO_SPACES_KEY = "wk-new", "wk-old", "wk-two"
SECRET, OLD_SECRET, KLAVIYO_SECRET = "hook-new", "hook-old", "klaviyo-test-secret"
HASTY = Limits(header_timeout_s=0.4, body_timeout_s=0.4, idle_timeout_s=0.6)
"""For tests of the time-outs themselves: the pauses of a busy machine are longer at times."""


def own(name: str) -> Codec:
    codec = Codec(name, {})
    codec.own([7])
    return codec


ENCODERS = Encoders(own("envelope"), own("engagement"), own("dead_letter"))
CODECS = {"segment.events": "envelope", "klaviyo.engagement": "engagement", "dead.letters": "dead_letter"}


@dataclass
class ListSink:
    """Keeps what is published; `away` makes it refuse, `gate` makes it wait."""

    kept: list[tuple[str, int, bytes, dict[str, Any]]] = field(default_factory=list)
    away: bool = False
    gate: asyncio.Event | None = None

    async def publish(self, records: Records) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.away:
            raise Away("the broker is away")
        for topic, batch in records.items():
            self._keep(topic, batch)

    def _keep(self, topic: str, batch: Sequence[dict[str, Any]]) -> None:
        codec = own(CODECS[topic])
        codec._writers[7] = codec.schema
        for record in batch:
            self.kept.append((topic, record["partition"], record["key"], codec.decode(record["value"])))

    def of(self, topic: str) -> list[dict[str, Any]]:
        return [value for name, _, _, value in self.kept if name == topic]

    @property
    def events(self) -> list[dict[str, Any]]:
        return self.of("segment.events")

    @property
    def letters(self) -> list[dict[str, Any]]:
        return self.of("dead.letters")


@dataclass
class Running:
    url: str
    sink: ListSink
    state: State
    metrics: Metrics
    http: aiohttp.ClientSession

    async def post(self, path: str, body: bytes, **kwargs: Any) -> tuple[int, dict[str, Any], Any]:
        headers = {"Content-Type": "application/json"} | kwargs.pop("headers", {})
        async with self.http.post(self.url + path, data=body, headers=headers, **kwargs) as reply:
            return reply.status, await reply.json(), reply.headers


@contextlib.asynccontextmanager
async def running(limits: Limits) -> AsyncIterator[Running]:
    sink, metrics = ListSink(), Metrics()
    state = State(ENCODERS, {"acme": 3, "beta": 1})
    ways = doors(
        sources=[
            (SourceDoor("web", ("acme",), (SECRET, OLD_SECRET)), (WRITE_KEY, OLD_KEY)),
            (SourceDoor("app", ("acme", "beta")), (TWO_SPACES_KEY,)),
        ],
        accounts=[AccountDoor("acme", "acme", (KLAVIYO_SECRET, "k2"))],
    )
    app = Gateway(ways, limits, partitions=PARTITIONS, sink=sink, state=state, metrics=metrics)
    runner = web.ServerRunner(
        Server(app.handle, header_timeout_s=limits.header_timeout_s, idle_timeout_s=limits.idle_timeout_s),
        shutdown_timeout=0.5,
    )
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    async with aiohttp.ClientSession() as http:
        yield Running(f"http://{host}:{port}", sink, state, metrics, http)
    await runner.cleanup()


@pytest.fixture
async def gateway() -> AsyncIterator[Running]:
    async with running(Limits()) as made:
        yield made


def partition_of(key: bytes) -> int:
    return zlib.crc32(key) % PARTITIONS
