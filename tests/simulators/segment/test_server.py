"""The Segment simulator takes what Segment's own library sends and refuses what Segment would lose."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from segment.analytics.client import Client

from streams.simulators.segment.config import SegmentConfig
from streams.simulators.segment.server import serve

AUTH = {"Authorization": "Basic " + base64.b64encode(b"wk:").decode()}
PAGE = {"type": "page", "messageId": "m1", "userId": "u"}


@pytest.fixture
async def url() -> AsyncIterator[str]:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(0, SegmentConfig(keys={"wk": "acme", "wk2": "beta"}), ready.set_result))
    yield await ready
    task.cancel()
    await asyncio.wait((task,))


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def post(
    http: aiohttp.ClientSession, url: str, path: str, body: Any, **headers: str
) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with http.post(url + path, data=data, headers=AUTH | headers) as reply:
        return reply.status, await reply.json()


async def events(http: aiohttp.ClientSession, url: str) -> list[dict[str, Any]]:
    async with http.get(url + "/sim/events") as reply:
        return list((await reply.json())["data"])


@pytest.mark.parametrize("gzip", [False, True])
async def test_segments_own_library_is_understood(url: str, http: aiohttp.ClientSession, gzip: bool) -> None:
    errors: list[Any] = []

    def send() -> None:
        client = Client("wk", host=url, gzip=gzip, on_error=lambda error, items: errors.append(error))
        client.track("u", "Email Opened", {"campaign_id": "c"}, context={"traits": {"email": "p@x.io"}})
        client.identify("u", {"email": "p@x.io"})
        client.page("u", "Docs", "Home")
        client.screen("u", "Docs", "Home")
        client.group("u", "g", {"name": "Initech"})
        client.alias("a", "u")
        client.join()

    await asyncio.to_thread(send)

    stored = await events(http, url)
    assert errors == []
    assert {event["type"] for event in stored} == {"track", "identify", "page", "screen", "group", "alias"}
    assert all(event["account"] == "acme" and event["n_received"] == 1 for event in stored)


async def test_a_message_is_stored_once_and_counted(url: str, http: aiohttp.ClientSession) -> None:
    for _ in range(3):
        assert (await post(http, url, "/v1/batch", {"batch": [PAGE]}))[0] == 200
    assert (await post(http, url, "/v1/page", {"messageId": "m1", "userId": "u"}))[0] == 200

    [event] = await events(http, url)
    assert event["n_received"] == 4
    async with http.get(url + "/sim/requests?since=0") as reply:
        lines = [json.loads(line) for line in (await reply.text()).splitlines()]
    assert [line["recorded"] for line in lines] == [1, 0, 0, 0]
    assert lines[0]["account"] == "acme"


async def test_the_key_may_stand_in_the_body(url: str, http: aiohttp.ClientSession) -> None:
    async with http.post(url + "/v1/batch", json={"batch": [PAGE], "writeKey": "wk2"}) as reply:
        assert reply.status == 200

    assert (await events(http, url))[0]["account"] == "beta"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/batch", b"{", 400),
        ("/v1/batch", [], 400),
        ("/v1/batch", {"batch": []}, 400),
        ("/v1/batch", {"batch": [PAGE] * 2501}, 400),
        ("/v1/batch", {"batch": [PAGE | {"properties": {"x": "y" * 33_000}}]}, 400),
        ("/v1/batch", {"batch": [{"userId": "u"}]}, 400),
        ("/v1/batch", {"batch": [{"type": "track", "event": "E"}]}, 400),
        ("/v1/batch", {"batch": [{"type": "track", "userId": "u"}]}, 400),
        ("/v1/batch", {"batch": [PAGE | {"messageId": "m" * 101}]}, 400),
        ("/v1/batch", {"batch": [PAGE | {"timestamp": "soon"}]}, 400),
        ("/v1/batch", {"batch": [PAGE | {"context": []}]}, 400),
        ("/v1/page", {"userId": 7}, 400),
        ("/v1/nope", PAGE, 404),
    ],
)
async def test_what_segment_would_lose_is_refused_and_not_stored(
    url: str, http: aiohttp.ClientSession, path: str, body: Any, status: int
) -> None:
    got, answer = await post(http, url, path, body)

    assert got == status
    assert answer["code"]
    assert answer["message"]
    assert await events(http, url) == []


async def test_an_unknown_key_is_401(url: str, http: aiohttp.ClientSession) -> None:
    async with http.post(url + "/v1/batch", json={"batch": [PAGE]}) as reply:
        assert reply.status == 401
    wrong = "Basic " + base64.b64encode(b"nope:").decode()
    assert (await post(http, url, "/v1/batch", {"batch": [PAGE]}, Authorization=wrong))[0] == 401


async def test_faults_config_stats_and_reset_hold_for_this_simulator(
    url: str, http: aiohttp.ClientSession
) -> None:
    fault = {"match": {"path": "/v1/*"}, "do": {"status": 503}, "times": 1}
    drop = {"match": {"path": "/v1/*"}, "do": {"drop_after_202": True}, "times": 1}
    for spec in (fault, drop):
        async with http.post(url + "/sim/faults", json=spec) as reply:
            assert reply.status == 201

    statuses = [(await post(http, url, "/v1/batch", {"batch": [PAGE]}))[0] for _ in range(3)]

    assert statuses == [503, 200, 200]
    assert [event["n_received"] for event in await events(http, url)] == [1]
    async with http.get(url + "/sim/stats") as reply:
        assert (await reply.json())["stored"] == 1
    async with http.put(url + "/sim/config", json={"max_batch_events": 1}) as reply:
        assert (await reply.json())["keys"] == {"wk": "acme", "wk2": "beta"}
    assert (await post(http, url, "/v1/batch", {"batch": [PAGE, PAGE]}))[0] == 400
    async with http.post(url + "/sim/reset") as reply:
        assert reply.status == 200
    assert await events(http, url) == []
