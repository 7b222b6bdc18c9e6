"""Rate limits are fixed windows per account and endpoint, whatever key is used."""

from __future__ import annotations

import asyncio

from tests.simulators.klaviyo.bodies import bulk, event
from tests.simulators.klaviyo.sim import Clock, Sim


async def test_the_burst_window_refuses_in_klaviyos_words_and_opens_again(sim: Sim, clock: Clock) -> None:
    clock.at = 1_790_000_000.25
    await sim.configure(budgets={"event/single": {"burst": 2, "steady": 3}})

    first = await sim.post("/api/events", event())
    second = await sim.post("/api/events", event(), Authorization="Klaviyo-API-Key pk_acme_2")
    refused = await sim.post("/api/events", event())
    other = await sim.post("/api/events", event(), Authorization="Klaviyo-API-Key pk_zen")
    clock.at = 1_790_000_001.0
    third = await sim.post("/api/events", event())
    steady = await sim.post("/api/events", event())

    assert [reply.status for reply in (first, second, refused, other, third, steady)] == [
        202, 202, 429, 202, 202, 429,
    ]  # fmt: skip
    assert first.headers["RateLimit-Limit"] == "3"
    assert (first.headers["RateLimit-Remaining"], second.headers["RateLimit-Remaining"]) == ("2", "1")
    assert first.headers["RateLimit-Reset"] == "40"
    assert refused.headers["Retry-After"] == "1"
    assert not any(name.lower().startswith("ratelimit") for name in refused.headers)
    error = (await refused.json(content_type=None))["errors"][0]
    assert error | {"id": ""} == {
        "id": "",
        "status": 429,
        "code": "throttled",
        "title": "Request was throttled.",
        "detail": "Request was throttled. Expected available in 1 second.",
        "source": {"pointer": "/data"},
        "links": {
            "type": "https://developers.klaviyo.com/en/docs/rate_limits_and_error_handling#rate-limits"
        },
        "meta": {},
    }
    assert steady.headers["Retry-After"] == "39"


async def test_windows_are_aligned_and_counted_by_arrival(sim: Sim, clock: Clock) -> None:
    """A slow call belongs to the window it arrived in, so the next window is whole."""
    await sim.configure(
        budgets={"event/bulk": {"burst": 1, "steady": 100}}, windows_s={"burst": 5, "steady": 50}
    )
    await sim.fault({"delay_s": 0.2}, times=1)
    clock.at = 1_790_000_004.9
    slow = asyncio.create_task(sim.post("/api/event-bulk-create-jobs", bulk(event(unique_id="a"))))
    while not (await (await sim.client.get("/sim/faults")).json())["data"][0]["fired"]:
        pass
    clock.at = 1_790_000_005.0
    after = await sim.post("/api/event-bulk-create-jobs", bulk(event(unique_id="b")))
    over = await sim.post("/api/event-bulk-create-jobs", bulk(event(unique_id="c")))

    assert (after.status, over.status, (await slow).status) == (202, 429, 202)
    assert over.headers["Retry-After"] == "5"


async def test_another_client_takes_of_the_same_budget(sim: Sim, clock: Clock) -> None:
    clock.at = 1_790_000_040.0
    await sim.configure(budgets={"event/single": {"burst": 10, "steady": 10}})
    await sim.client.post("/sim/steal", json={"rate": 0.25})
    clock.at += 20

    reply = await sim.post("/api/events", event())

    assert reply.headers["RateLimit-Remaining"] == "4"


async def test_published_figures_hold_where_none_are_set(sim: Sim) -> None:
    limits = {}
    for path in ("/api/metrics", "/api/accounts", "/api/events", "/api/profiles"):
        limits[path] = (await sim.get(path)).headers["RateLimit-Limit"]

    assert limits == {
        "/api/metrics": "150",
        "/api/accounts": "15",
        "/api/events": "3500",
        "/api/profiles": "750",
    }


async def test_a_day_allows_150_new_lists_and_says_when_the_next_begins(sim: Sim, clock: Clock) -> None:
    midnight = 1_790_035_200
    clock.at = midnight - 600
    body = {"data": {"type": "list", "attributes": {"name": "New"}}}
    statuses = []
    for _ in range(151):
        clock.at += 1
        statuses.append((await sim.post("/api/lists", body)).status)
    refused = await sim.post("/api/lists", body)
    looked_up = await sim.get("/api/lists")
    clock.at = midnight

    assert statuses == [201] * 150 + [429]
    assert refused.headers["Retry-After"] == str(600 - 151)
    assert looked_up.status == 200
    assert (await sim.post("/api/lists", body)).status == 201


async def test_the_size_of_a_list_has_a_budget_of_its_own(sim: Sim, clock: Clock) -> None:
    clock.at = 1_790_000_000.0
    made = await sim.post("/api/lists", {"data": {"type": "list", "attributes": {"name": "New"}}})
    path = f"/api/lists/{(await made.json(content_type=None))['data']['id']}"
    size = f"{path}?additional-fields[list]=profile_count"

    assert [(await sim.get(each)).status for each in (size, size, path, path)] == [200, 429, 200, 200]
    assert (await sim.get(path)).headers["RateLimit-Limit"] == "750"
