"""Lists that Klaviyo does not have, or has no more."""

from time import time
from typing import Any

import pytest

from streams.config.sections import Lists
from tests.deliver.line import FREE, Line, simulator
from tests.deliver.test_lists import change, ends, make_list, make_profiles, members


async def test_a_list_that_is_not_there_is_a_dead_letter_that_says_what_to_do() -> None:
    async with simulator(budgets=FREE) as sim:
        await make_list(sim)
        await make_list(sim, "Twice")
        await make_list(sim, "Twice")
        line = Line(sim.url)
        line.put(change(1, 1, to="Nowhere"), change(2, 1), change(3, 2, to="Twice"))
        await line.drain()
        letters = {d["event_id"]: (d["reason"], d["detail"]) for d in line.world.dead_letters}
        assert letters["m1"][0] == letters["m3"][0] == "rejected"
        assert "'Nowhere'" in letters["m1"][1]
        assert "lists.create" in letters["m1"][1]
        assert "several" in letters["m3"][1]
        assert await members(sim) == {"u1@shop.io"}


@pytest.mark.parametrize("fault", [None, {"reset": "after"}, {"status": 503}])
async def test_a_list_is_made_once_if_the_configuration_says_so(fault: dict[str, Any] | None) -> None:
    async with simulator(latency_ms=3, budgets=FREE) as sim:
        await make_profiles(sim, 1200)
        line = Line(sim.url, lists=Lists(create=True), timeout_s=2)
        if fault:
            await sim.fault({"path": "/api/lists", "method": "POST"}, fault, times=1)
        line.put(*(change(n, n, to="New list") for n in range(1200)))
        await line.drain(60)
        lists = (await sim.get("lists"))["data"]
        assert [(row["name"], len(row["profiles"])) for row in lists] == [("New list", 1200)]


async def test_a_removal_makes_no_list_and_an_older_addition_stays_undone_on_the_one_that_is_made() -> None:
    async with simulator(budgets=FREE) as sim:
        await make_profiles(sim, 6)
        line = Line(sim.url, lists=Lists(create=True))
        at = int(time() * 1000) - 60_000
        line.put(*(change(n, n, "list_remove", time=at) for n in range(4)))
        await line.drain()
        assert set(ends(line).values()) == {("unchanged", "not_member")}
        assert (await sim.get("lists"))["data"] == []
        line.put(change(11, 1, time=at - 1), change(12, 2, time=at + 1), change(14, 4), change(15, 5))
        line.put(change(25, 5, "list_remove", time=at))
        await line.drain()
        assert await members(sim) == {f"u{n}@shop.io" for n in (2, 4, 5)}
        assert ends(line)["m11"] == ("unchanged", "superseded")
        line.put(change(32, 2, "list_remove"), change(33, 3, "list_remove", time=at - 5))
        await line.drain()
        assert await members(sim) == {f"u{n}@shop.io" for n in (4, 5)}


async def test_additions_and_removals_that_wait_for_a_list_together_end_each_in_its_way() -> None:
    async with simulator(budgets=FREE) as sim:
        await make_profiles(sim, 40)
        line = Line(sim.url, lists=Lists(create=True), timeout_s=2)
        await sim.fault({"path": "/api/lists", "method": "POST"}, {"reset": "after"}, times=1)
        line.put(*(change(n, n, "list_add" if n % 2 else "list_remove") for n in range(40)))
        await line.drain(60)
        (found,) = (await sim.get("lists"))["data"]
        assert set(found["emails"]) == {f"u{n}@shop.io" for n in range(1, 40, 2)}
        assert {ends(line)[f"m{n}"] for n in range(0, 40, 2)} == {("unchanged", "not_member")}


async def test_an_id_that_klaviyo_has_no_more_is_looked_up_again() -> None:
    async with simulator(budgets=FREE) as sim:
        await make_list(sim)
        await make_profiles(sim, 5)
        line = Line(sim.url)
        line.world.store[b"k/p2"] = b"01GONE"
        line.put(*(change(n, n) for n in range(5)))
        await line.drain()
        assert await members(sim) == {f"u{n}@shop.io" for n in range(5)}
        assert set(ends(line).values()) == {("delivered", "accepted")}
        assert line.world.store[b"k/p2"] != b"01GONE"
