"""Short windows, a real simulator: no 429, and nearly all of the budget used."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from time import monotonic, time

import orjson

from streams.deliver.spending import PREFIX
from streams.klaviyo.budgets import LIMITS, Limit
from tests.deliver.fake_slot import Fuse
from tests.deliver.line import Line, operation, simulator

STEADY_S = 4.0
SHORT = {name: Limit(6, 40, 0.5, STEADY_S) for name in LIMITS}
CONFIG = {
    "budgets": {"event": {"burst": 6, "steady": 40}, "profile": {"burst": 6, "steady": 40}},
    "windows_s": {"burst": 0.5, "steady": STEADY_S},
}


def update(n: int) -> dict[str, object]:
    """It goes by itself however many wait: no import job can append."""
    payload = {"attributes": {}, "patch": {"append": {"visits": f"v{n}"}}}
    return operation(n, n, "profile", payload=payload)


def told_to_wait(line: Line) -> bool:
    """Whether the state says that a budget is not to be used for seconds."""
    found = [orjson.loads(value) for key, value in line.world.store.items() if key.startswith(PREFIX)]
    return any(spent["blocked"] > 1 for spent in found)


@contextlib.asynccontextmanager
async def standstills() -> AsyncIterator[list[float]]:
    """How long nothing ran here, each time, in seconds: windows this short leave no time to make it up."""
    found: list[float] = []

    async def look() -> None:
        while True:
            at = monotonic()
            await asyncio.sleep(0.01)
            late = monotonic() - at - 0.01
            if late > 0.02:
                found.append(late)

    looking = asyncio.create_task(look())
    try:
        yield found
    finally:
        looking.cancel()


async def arrivals(sim, path: str) -> list[float]:  # type: ignore[no-untyped-def]
    return [request["at"] for request in await sim.requests(path)]


async def test_a_backlog_uses_the_budget_and_no_call_is_refused() -> None:
    async with simulator(latency_ms=20, **CONFIG) as sim:
        line = Line(sim.url, limits=dict(SHORT))
        line.put(*(update(n) for n in range(200)))
        async with line.life(), standstills() as stood_s:
            began = time()
            await line.until(lambda: time() > began + 3.2 * STEADY_S, 40)
            stats = await sim.get("stats")
            at = [a for a in await arrivals(sim, "import") if began + STEADY_S <= a < began + 3 * STEADY_S]
        assert stats["http_429"] == 0
        assert len(at) >= 0.97 * 2 * 40 * (1 - sum(stood_s) / (2 * STEADY_S))


async def test_a_restarted_owner_provokes_no_429() -> None:
    async with simulator(**CONFIG) as sim:
        line = Line(sim.url, limits=dict(SHORT), timeout_s=0.5)
        line.put(*(operation(n, n) for n in range(4000)), *(update(n) for n in range(300)))
        for boundary in (30, 60, 45, 20):
            async with line.life(Fuse(boundary)):
                await line.until(line.all_ended, 30)
        async with line.life():
            await asyncio.sleep(STEADY_S)
        assert (await sim.get("stats"))["http_429"] == 0


async def test_a_restarted_owner_waits_as_long_as_the_former_was_told_to() -> None:
    async with simulator() as sim:
        line = Line(sim.url)
        answer = {"status": 429, "headers": {"Retry-After": "3"}}
        await sim.fault({"path": "/api/event*"}, answer, times=1)
        line.put(operation(1))
        async with line.life():
            assert await line.until(lambda: told_to_wait(line))
        await line.drain()
        first, second = await arrivals(sim, "/api/event")
        assert second - first >= 3.0


async def test_what_another_client_takes_is_left_to_it_and_nothing_is_lost() -> None:
    async with simulator(latency_ms=5, **CONFIG) as sim:
        line = Line(sim.url, limits=dict(SHORT))
        async with sim.session.post(f"{sim.url}/sim/steal", json={"rate": 4}) as reply:
            assert reply.status == 200
        line.put(*(update(n) for n in range(70)))
        async with line.life():
            assert await line.until(line.all_ended, 60)
        assert (await sim.get("stats"))["http_429"] <= 8
        assert set(line.world.last().values()) == {("delivered", "accepted")}
        found = {row["email"]: row["properties"] for row in (await sim.get("profiles"))["data"]}
        assert found == {f"u{n}@shop.io": {"visits": [f"v{n}"]} for n in range(70)}
