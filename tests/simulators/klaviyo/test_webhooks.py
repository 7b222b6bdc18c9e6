"""Engagement leaves in signed webhook calls, as Klaviyo signs them."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from streams.simulators.klaviyo.webhooks import signature
from tests.simulators.klaviyo.sim import Sim


def test_the_published_vector() -> None:
    body = (
        b'{"data":[{"external_id":"4L3cwQae2TX","topic":"event:klaviyo.sent_sms"}],'
        b'"meta":{"klaviyo_webhook_id":"a8b890458b4bbfaa26d961471b83c101d6de23bd826e7e5173a15310985ec3cb"}}'
    )

    signed = signature("klaviyo-test-secret", body, "Thu, 04 Jan 2024 18:05:25 GMT")

    assert signed == "5aa0e720d80b3a04ca04baf3c65cdfe31da57504af69fee8da29c35d45f0596b"


class Receiver:
    """Takes webhook calls; the first `refusals` are answered 503."""

    def __init__(self) -> None:
        self.refusals = 0
        self.calls: asyncio.Queue[tuple[dict[str, str], bytes]] = asyncio.Queue()
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        await self.calls.put((dict(request.headers), await request.read()))
        self.refusals -= 1
        return web.Response(status=503 if self.refusals >= 0 else 200)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application(client_max_size=2**24)
    app.router.add_post("/hook", made.take)
    async with TestServer(app, host="127.0.0.1") as server:
        made.url = str(server.make_url("/hook"))
        yield made


async def engage(sim: Sim, receiver: Receiver, metric: str, n: int = 1) -> Any:
    hook = {"url": receiver.url, "secret": "klaviyo-test-secret", "id": "hook-1"}
    await sim.configure(webhooks={"acme": hook}, webhook_retry_s=0.01)
    asked = {"account": "acme", "email": "ada@shop.io", "metric": metric, "n": n}
    response = await sim.client.post("/sim/engage", json=asked)
    assert response.status == 200
    return await response.json()


async def test_an_engagement_event_arrives_signed(sim: Sim, receiver: Receiver) -> None:
    made = await engage(sim, receiver, "Clicked Email")

    headers, body = await asyncio.wait_for(receiver.calls.get(), 10)
    stamp = headers["Klaviyo-Timestamp"]
    expected = hmac.new(b"klaviyo-test-secret", body + stamp.encode(), hashlib.sha256).hexdigest()
    assert headers["Klaviyo-Signature"] == expected
    assert headers["Klaviyo-Webhook-Id"] == "hook-1"
    told = orjson.loads(body)
    assert told["meta"]["klaviyo_webhook_id"] == "hook-1"
    assert [item["external_id"] for item in told["data"]] == made["events"]
    assert told["data"][0]["topic"] == "event:klaviyo.clicked_email"
    attributes = told["data"][0]["payload"]["data"]["attributes"]
    assert {"$event_id", "Subject", "Campaign Name", "$message", "URL"} <= set(attributes["event_properties"])
    assert [row["metric"] for row in await sim.view("events")] == ["Clicked Email"]


async def test_many_events_go_in_calls_of_a_thousand(sim: Sim, receiver: Receiver) -> None:
    await engage(sim, receiver, "Opened Email", 1500)

    calls = [await asyncio.wait_for(receiver.calls.get(), 10) for _ in range(2)]
    assert sorted(len(orjson.loads(body)["data"]) for _, body in calls) == [500, 1000]


async def test_a_refused_call_is_sent_again_as_it_was(sim: Sim, receiver: Receiver) -> None:
    receiver.refusals = 2
    await engage(sim, receiver, "Bounced Email")

    bodies = {(await asyncio.wait_for(receiver.calls.get(), 10))[1] for _ in range(3)}
    assert len(bodies) == 1


async def test_an_unsubscribe_shows_in_the_consent(sim: Sim, receiver: Receiver) -> None:
    await engage(sim, receiver, "Unsubscribed")

    row = (await sim.view("consent"))[0]
    assert (row["consent"], row["suppressions"]) == ("UNSUBSCRIBED", ["UNSUBSCRIBE"])


async def test_the_webhook_is_listed_with_its_topics_and_no_more_of_its_address_than_its_host(
    sim: Sim, receiver: Receiver
) -> None:
    only = {"url": receiver.url, "secret": "s" * 16, "topics": ["event:klaviyo.opened_email"]}
    await sim.configure(webhooks={"acme": only})
    (found,) = (await (await sim.get("/api/webhooks?include=webhook-topics")).json(content_type=None))["data"]
    assert found["attributes"]["enabled"] is True
    assert "/hook" not in found["attributes"]["endpoint_url"]
    topics = found["relationships"]["webhook-topics"]["data"]
    assert [topic["id"] for topic in topics] == ["event:klaviyo.opened_email"]


async def test_what_a_webhook_is_not_registered_for_does_not_arrive(sim: Sim, receiver: Receiver) -> None:
    for off in ({"topics": ["event:klaviyo.opened_email"]}, {"enabled": False}):
        await sim.configure(webhooks={"acme": {"url": receiver.url, "secret": "s" * 16} | off})
        asked = {"account": "acme", "email": "ada@shop.io", "metric": "Clicked Email", "n": 1}
        response = await sim.client.post("/sim/engage", json=asked)
        assert (await response.json())["webhooks"] == 0
