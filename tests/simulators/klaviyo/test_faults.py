"""Each kind of fault does what it says, as often as it was asked for."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.simulators.klaviyo.bodies import bulk, event
from tests.simulators.klaviyo.sim import Sim

BULK = "/api/event-bulk-create-jobs"


async def test_a_status_with_headers_and_body_stores_nothing(sim: Sim) -> None:
    fault = await sim.fault({"status": 503, "headers": {"Retry-After": "7"}, "body": {"no": 1}}, times=1)

    reply = await sim.post("/api/events", event())
    again = await sim.post("/api/events", event())

    assert (reply.status, reply.headers["Retry-After"]) == (503, "7")
    assert await reply.json(content_type=None) == {"no": 1}
    assert again.status == 202
    shown = await (await sim.client.get(f"/sim/faults/{fault}")).json()
    assert shown["fired"] == 1
    assert [row["n_received"] for row in await sim.view("events")] == [1]


async def test_a_status_without_body_has_klaviyos(sim: Sim) -> None:
    await sim.fault({"status": 429})

    reply = await sim.post("/api/events", event())

    assert reply.headers["Retry-After"] == "1"
    assert (await reply.json(content_type=None))["errors"][0]["code"] == "throttled"


async def test_matches_choose_by_method_path_and_account(sim: Sim) -> None:
    await sim.fault({"status": 500}, match={"method": "POST", "path": "/api/event*", "account": "acme"})

    zen = {"Authorization": "Klaviyo-API-Key pk_zen"}
    assert (await sim.post("/api/events/", event())).status == 500
    assert (await sim.post("/api/events", event(), **zen)).status == 202
    assert (await sim.get("/api/metrics")).status == 200
    assert (await sim.client.delete("/sim/faults")).status == 204
    assert (await sim.post("/api/events", event())).status == 202


@pytest.mark.parametrize(("when", "stored"), [("before", 0), ("after", 1)])
async def test_a_reset_cuts_the_connection(sim: Sim, when: str, stored: int) -> None:
    await sim.fault({"reset": when}, times=1)

    with pytest.raises(aiohttp.ClientError):
        await sim.post("/api/events", event())
    assert len(await sim.view("events")) == stored


async def test_a_delay_comes_before_the_reply(sim: Sim) -> None:
    await sim.fault({"delay_s": 30}, times=1)

    call = asyncio.create_task(sim.post("/api/events", event()))
    async with asyncio.timeout(20):
        while not await sim.view("events"):
            await asyncio.sleep(0.01)
    assert not call.done()
    call.cancel()
    await asyncio.wait((call,))


async def test_dropped_after_202(sim: Sim) -> None:
    await sim.fault({"drop_after_202": True}, times=2)

    assert (await sim.post(BULK, bulk(event(unique_id="a")))).status == 202
    assert (await sim.post("/api/events", event(unique_id="b"))).status == 202
    assert (await sim.post("/api/events", event(unique_id="c"))).status == 202
    assert [row["unique_id"] for row in await sim.view("events")] == ["c"]


async def test_cloudflare_answers_in_html(sim: Sim) -> None:
    await sim.fault({"cloudflare": True})

    reply = await sim.post("/api/events", event())

    assert reply.status == 403
    assert reply.headers["Content-Type"].startswith("text/html")
    assert reply.headers["cf-mitigated"] == "challenge"


async def test_error_rows_refuse_the_batch_with_pointers(sim: Sim) -> None:
    rows: list[dict[str, Any]] = [
        {"index": 0, "code": "odd", "detail": "Odd.", "pointer": True},
        {"email": "bob@shop.io", "code": "invalid", "detail": "No.", "pointer": False},
    ]
    await sim.fault({"error_rows": rows}, times=1)
    body = bulk(event("ada@shop.io", unique_id="1"), event("bob@shop.io", unique_id="2"))

    reply = await sim.post(BULK, body)

    assert reply.status == 400
    told = (await reply.json(content_type=None))["errors"]
    assert [(error["code"], error["detail"], error["source"]["pointer"]) for error in told] == [
        ("odd", "Odd.", "/data/attributes/events-bulk-create/data/0/attributes"),
        ("invalid", "No.", "/data"),
    ]
    assert await sim.view("events") == []


async def test_the_same_seed_meets_the_same_requests(sim: Sim) -> None:
    runs = []
    for _ in range(2):
        await sim.client.post("/sim/reset")
        await sim.fault({"status": 500}, rate=0.3, seed=7)
        runs.append([(await sim.post("/api/events", event(unique_id=str(n)))).status for n in range(30)])

    assert runs[0] == runs[1]
    assert 3 <= runs[0].count(500) <= 18


@pytest.mark.parametrize(
    "wrong", [{"do": {}}, {"do": {"status": 500, "delay_s": 1}}, {"do": {"explode": True}}, {}]
)
async def test_a_fault_that_makes_no_sense_is_refused(sim: Sim, wrong: dict[str, Any]) -> None:
    assert (await sim.client.post("/sim/faults", json=wrong)).status == 400


async def test_config_merges_and_refuses_unknown_names(sim: Sim) -> None:
    shown = await sim.configure(keys={"pk_new": "acme", "pk_zen": None}, latency_ms=1)

    assert shown["keys"] == {"pk_acme": "acme", "pk_acme_2": "acme", "pk_new": "acme"}
    assert (await sim.client.put("/sim/config", json={"latency": 1})).status == 400
    assert (await sim.get("/api/metrics", Authorization="Klaviyo-API-Key pk_new")).status == 200
    stats = await (await sim.client.get("/sim/stats")).json()
    assert stats["by_status"] == {"200": 1}
