"""Lists that consent makes if the configuration says so: once, for whoever subscribes, and against no no."""

import asyncio
from typing import Any

import pytest

from streams.config.sections import Lists
from tests.deliver.fake_slot import Fuse
from tests.deliver.line import FREE, Line, Sim, simulator
from tests.deliver.test_consent import consent, now, say
from tests.deliver.test_lists import calls, change, ends, make_profiles

NEWS = {"list": "News"}


def making(sim: Sim, timeout_s: float = 2) -> Line:
    return Line(sim.url, lists=Lists(create=True), timeout_s=timeout_s)


async def lists(sim: Sim) -> dict[str, set[str]]:
    """Each list's name and members; two of one name are an error."""
    rows = (await sim.get("lists"))["data"]
    assert len({row["name"] for row in rows}) == len(rows)
    return {row["name"]: set(row["emails"]) for row in rows}


@pytest.mark.parametrize("fault", [None, {"reset": "after"}, {"status": 503}])
async def test_a_list_is_made_once_by_whoever_subscribes_or_is_added(fault: dict[str, Any] | None) -> None:
    async with simulator(latency_ms=3, budgets=FREE) as sim:
        await make_profiles(sim, 150)
        if fault:
            await sim.fault({"path": "/api/lists", "method": "POST"}, fault, times=1)
        line = making(sim)
        line.put(
            *(say(n, n, payload=NEWS) for n in range(150)), *(change(200 + n, n) for n in range(0, 150, 5))
        )
        await line.drain(60)
        assert await lists(sim) == {"News": {f"u{n}@shop.io" for n in range(150)}}
        found = ends(line)
        assert {found[f"m{n}"][0] for n in range(150)} == {"delivered"}
        added = {found[f"m{200 + n}"] for n in range(0, 150, 5)}
        assert added <= {("delivered", "accepted"), ("unchanged", "same_values")}, "consent may come first"
        assert len(await consent(sim)) == 150


async def test_who_leaves_makes_none_and_its_no_counts_on_the_list_that_is_made() -> None:
    async with simulator(budgets=FREE) as sim:
        line = making(sim)
        at = now() - 60_000
        line.put(*(say(n, n, "unsubscribe", NEWS, time=at) for n in range(3)))
        line.put(say(9, 9, "observed", {"status": "unsubscribed", "list_name": "News"}))
        await line.drain()
        found = ends(line)
        assert {found[f"m{n}"] for n in range(3)} == {("unchanged", "not_member")}
        assert found["m9"] == ("filtered", "observed")
        assert await lists(sim) == {}
        line.put(say(11, 1, payload=NEWS, time=at - 2000), say(12, 2, payload=NEWS, time=at + 2000))
        line.put(say(14, 4, payload=NEWS), say(10, 0, time=at - 2000))
        await line.drain()
        assert ends(line)["m11"] == ("refused", "consent")
        assert await lists(sim) == {"News": {"u2@shop.io", "u4@shop.io"}}
        assert (await consent(sim))["u0@shop.io"] == "SUBSCRIBED", "a farewell to one list is none to all"
        assert len([call for call in await calls(sim, "POST", "/api/lists") if call["status"] == 201]) == 1


async def one_kill(at: int) -> bool:
    async with simulator(budgets=FREE) as sim:
        line = making(sim, 0.3)
        line.put(*(say(n, n, payload=NEWS) for n in range(8)))
        line.put(*(say(20 + n, n, "unsubscribe", NEWS) for n in range(8, 12)))
        async with line.life(Fuse(at)):
            survived = await line.until(line.all_ended, 60)
        line.put(*(say(30 + n, n, payload=NEWS) for n in range(12, 16)))
        await line.drain(60)
        wanted = {f"u{n}@shop.io" for n in (*range(8), *range(12, 16))}
        assert await lists(sim) == {"News": wanted}
        assert not line.world.dead_letters
        assert not [key for key in line.world.store if key.startswith(b"i/")]
        return not survived


async def test_a_list_is_made_once_whenever_the_process_dies() -> None:
    killed = await asyncio.gather(*(one_kill(at) for at in range(1, 14)))
    assert sum(killed) > 6
