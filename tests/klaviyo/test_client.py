"""A call is made in time or not at all, and whatever happens to it is an answer."""

from collections.abc import AsyncIterator
from time import monotonic

import pytest
from aiohttp import web

from streams.klaviyo.client import Client
from streams.klaviyo.replies import Accepted, Stopped, Transient
from streams.klaviyo.requests import Request

REQUEST = Request("POST", "/api/events", b'{"data":{}}' * 20_000, "event/single", ((0,),))


class Server:
    """Counts requests, as soon as their head is there."""

    def __init__(self) -> None:
        self.seen: list[web.Request] = []
        self.url = ""
        self.reply = web.Response(status=202)
        self.cuts_off = False

    async def answer(self, request: web.Request) -> web.Response:
        self.seen.append(request)
        await request.read()
        if self.cuts_off and request.transport is not None:
            request.transport.close()
        return self.reply


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/{tail:.*}", made.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = "http://{}:{}".format(*runner.addresses[0][:2])
    yield made
    await runner.cleanup()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Client]:
    made = Client(server.url, "pk_secret", timeout_s=20)
    yield made
    await made.close()


async def test_a_call_in_time_is_made_whole(server: Server, client: Client) -> None:
    reply = await client.call(REQUEST, monotonic() + 20)
    assert reply is not None
    assert reply.verdict == Accepted()
    headers = server.seen[0].headers
    assert headers["Authorization"] == "Klaviyo-API-Key pk_secret"
    assert headers["revision"] == "2026-07-15"
    assert headers["Content-Type"] == "application/vnd.api+json"
    assert int(headers["Content-Length"]) == len(REQUEST.body)


async def test_a_right_that_lapsed_sends_nothing_and_the_next_call_is_fine(
    server: Server, client: Client
) -> None:
    assert await client.call(REQUEST, monotonic() - 0.01) is None
    reply = await client.call(REQUEST, monotonic() + 20)
    assert reply is not None
    assert reply.status == 202
    assert len(server.seen) == 1


async def test_a_redirect_is_not_followed(server: Server, client: Client) -> None:
    server.reply = web.Response(status=307, headers={"Location": "/elsewhere"})
    reply = await client.call(REQUEST, monotonic() + 20)
    assert reply is not None
    assert isinstance(reply.verdict, Stopped)
    assert len(server.seen) == 1


async def test_nobody_there_is_an_answer_too() -> None:
    client = Client("http://127.0.0.1:9", "pk_secret", timeout_s=20)
    reply = await client.call(REQUEST, monotonic() + 20)
    await client.close()
    assert reply is not None
    assert isinstance(reply.verdict, Transient)
    assert "pk_secret" not in repr(reply)


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
async def test_a_call_that_is_cut_off_is_not_repeated_behind_the_budgets_back(
    server: Server, client: Client, method: str
) -> None:
    server.cuts_off = True
    reply = await client.call(Request(method, "/api/lists", b"", "x"), monotonic() + 20)
    assert reply is not None
    assert isinstance(reply.verdict, Transient)
    assert len(server.seen) == 1
