"""Accepted means kept, with a real broker, a real registry, and Segment's own library."""

import asyncio
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from segment.analytics.client import Client

from streams.local import stack as local
from streams.local.stack import Stack
from tests.gateway.process import Process, committed, pipeline, prepared, started

pytestmark = pytest.mark.stack
AUTH = {"Authorization": aiohttp.encode_basic_auth("wk", "")}


async def until_ready(http: aiohttp.ClientSession, admin: str, *, status: int = 200) -> None:
    deadline = time.monotonic() + 60
    while True:
        async with http.get(admin + "/readyz") as reply:
            if reply.status == status:
                return
            assert time.monotonic() < deadline, await reply.text()
        await asyncio.sleep(0.05)


def page(number: int) -> dict[str, Any]:
    return {"type": "page", "messageId": f"m{number}", "userId": f"u{number % 7}"}


def send_all_kinds(host: str, *, gzip: bool) -> list[Any]:
    errors: list[Any] = []
    client = Client("wk", host=host, gzip=gzip, on_error=lambda error, items: errors.append((error, items)))
    for number in range(50):
        client.track(f"u{number}", "Order Completed", {"total": 1.5})
    client.identify("u1", {"email": "p@x.io"})
    client.page("u1", "Docs", "Home")
    client.screen("u1", "Docs", "Home")
    client.group("u1", "g1", {"name": "Initech"})
    client.alias("anon", "u1")
    client.join()
    return errors


@pytest.mark.parametrize("gzip", [False, True])
async def test_segments_own_library_loses_nothing(
    stack: Stack, prefix: str, tmp_path: Path, gzip: bool
) -> None:
    text = pipeline(stack, prefix)
    config = await asyncio.to_thread(prepared, text)
    async with started(tmp_path, text) as gateway, aiohttp.ClientSession() as http:
        await until_ready(http, gateway.urls["admin"])

        errors = await asyncio.to_thread(send_all_kinds, gateway.urls["gateway"], gzip=gzip)

    events = await asyncio.to_thread(committed, config, "segment.events")
    assert errors == []
    assert len(events) == 55
    assert {event["type"] for event in events} == {"track", "identify", "page", "screen", "group", "alias"}
    assert await asyncio.to_thread(committed, config, "dead.letters") == []


async def test_sigterm_answers_what_is_in_flight_and_ends_clean(
    stack: Stack, prefix: str, tmp_path: Path
) -> None:
    text = pipeline(stack, prefix)
    config = await asyncio.to_thread(prepared, text)
    async with started(tmp_path, text) as gateway, aiohttp.ClientSession(headers=AUTH) as http:
        await until_ready(http, gateway.urls["admin"])
        url = gateway.urls["gateway"] + "/v1/page"
        accepted: list[str] = []

        async def post(number: int) -> None:
            try:
                async with http.post(url, json=page(number)) as reply:
                    if reply.status == 200:
                        accepted.append(f"m{number}")
            except aiohttp.ClientError:
                pass

        posts = [asyncio.ensure_future(post(number)) for number in range(500)]
        while len(accepted) < 50:
            await asyncio.sleep(0.001)
        assert await ended(gateway) < 5
        await asyncio.gather(*posts)

    kept = {event["event_id"] for event in await asyncio.to_thread(committed, config, "segment.events")}
    assert set(accepted) <= kept


async def test_without_a_registry_the_gateway_runs_and_says_503(
    stack: Stack, prefix: str, tmp_path: Path, unused_tcp_port: int
) -> None:
    text = pipeline(stack, prefix, registry=f"http://127.0.0.1:{unused_tcp_port}")
    async with started(tmp_path, text) as gateway, aiohttp.ClientSession(headers=AUTH) as http:
        async with http.get(gateway.urls["admin"] + "/readyz") as reply:
            assert (reply.status, (await reply.json())["waits_for"]) == (503, ["registry", "slots"])
        async with http.get(gateway.urls["admin"] + "/livez") as reply:
            assert reply.status == 200
        async with http.post(gateway.urls["gateway"] + "/v1/page", json=page(1)) as reply:
            assert reply.status == 503
            assert "Retry-After" in reply.headers


@pytest.fixture(scope="module")
def breakable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a stack that these tests alone use, so that its broker may die."""
    folder = tmp_path_factory.mktemp("breakable")
    yield folder
    local.down(folder)


async def test_a_broker_killed_while_posting_loses_nothing_that_was_accepted(
    breakable: Path, tmp_path: Path
) -> None:
    stack = await asyncio.to_thread(local.up, breakable, say=print)
    text = pipeline(stack, "k-")
    config = await asyncio.to_thread(prepared, text)
    async with started(tmp_path, text) as gateway, aiohttp.ClientSession(headers=AUTH) as http:
        await until_ready(http, gateway.urls["admin"])
        accepted, statuses = await post_through_a_kill(http, gateway.urls["gateway"], breakable)
        await until_ready(http, gateway.urls["admin"])

    kept = {event["event_id"] for event in await asyncio.to_thread(committed, config, "segment.events")}
    assert statuses == {200, 503}
    assert accepted <= kept


async def post_through_a_kill(
    http: aiohttp.ClientSession, url: str, folder: Path
) -> tuple[set[str], set[int]]:
    """Post batches from ten clients, kill the broker, wait for a 503, start it again, wait for a 200."""
    accepted: set[str] = set()
    statuses: list[int] = []
    stop = asyncio.Event()
    numbers = iter(range(10_000_000))

    async def client() -> None:
        while not stop.is_set():
            messages = [page(next(numbers)) for _ in range(20)]
            body = orjson.dumps({"batch": messages})
            headers = {"Content-Type": "application/json"}
            async with http.post(url + "/v1/batch", data=body, headers=headers) as reply:
                statuses.append(reply.status)
                if reply.status == 200:
                    accepted.update(message["messageId"] for message in messages)
                else:
                    assert "Retry-After" in reply.headers

    async def until(status: int) -> None:
        async with asyncio.timeout(90):
            seen = len(statuses)
            while status not in statuses[seen:]:
                await asyncio.sleep(0.02)

    clients = [asyncio.ensure_future(client()) for _ in range(10)]
    await until(200)
    await asyncio.to_thread(local.kill_broker, folder)
    await until(503)
    await asyncio.to_thread(local.start_broker, folder, say=print)
    await until(200)
    stop.set()
    await asyncio.gather(*clients)
    return accepted, set(statuses)


async def test_sigterm_without_brokers_answers_503_and_ends_clean(breakable: Path, tmp_path: Path) -> None:
    stack = await asyncio.to_thread(local.up, breakable, say=print)
    text = pipeline(stack, "s-")
    await asyncio.to_thread(prepared, text)
    async with started(tmp_path, text) as gateway, aiohttp.ClientSession(headers=AUTH) as http:
        await until_ready(http, gateway.urls["admin"])
        await asyncio.to_thread(local.kill_broker, breakable)
        waiting = asyncio.ensure_future(http.post(gateway.urls["gateway"] + "/v1/page", json=page(1)))
        async with asyncio.timeout(20):
            while not (waiting.done() or await in_flight(http, gateway.urls["admin"])):
                await asyncio.sleep(0.01)
        took = await ended(gateway)

        assert (await waiting).status == 503
        assert took < 5
    async with started(tmp_path, text) as gateway, aiohttp.ClientSession() as http:
        async with http.get(gateway.urls["admin"] + "/readyz") as reply:
            assert reply.status == 503
        assert await ended(gateway) < 5


async def in_flight(http: aiohttp.ClientSession, admin: str) -> bool:
    """Whether the gateway has taken something that no broker has acknowledged yet."""
    async with http.get(admin + "/metrics") as reply:
        return bool(re.search(r"^streams_gateway_in_flight_bytes [1-9]", await reply.text(), re.MULTILINE))


async def ended(gateway: Process) -> float:
    """Seconds from SIGTERM to a clean end."""
    asked = time.monotonic()
    gateway.child.send_signal(signal.SIGTERM)
    assert await gateway.child.wait() == 0
    return time.monotonic() - asked
