"""An append is done once, whatever becomes of its call or of the process."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.deliver.profiles.patches import missing, shown
from tests.deliver.fake_slot import Fuse
from tests.deliver.line import FREE, Line, Sim, make_profile, simulator
from tests.deliver.test_conflicts import update

IMPORT = {"path": "/api/profile-import"}
values = st.lists(st.sampled_from(["a", "b", 1, True, None]), max_size=5)


async def tags(sim: Sim) -> Any:
    (profile,) = (await sim.get("profiles"))["data"]
    return profile["properties"]["tags"]


def append(n: int, *what: str, **more: Any) -> dict[str, Any]:
    return update(n, patch={"append": {"tags": list(what)}}, **more)


@pytest.mark.parametrize("do", [{"reset": "before"}, {"reset": "after"}, {"status": 503}, {"status": 502}])
async def test_an_append_without_an_answer_is_done_once(do: dict[str, Any]) -> None:
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        line.put(append(1, "x"))
        await line.drain()
        await sim.fault(IMPORT, do, times=2)
        line.put(append(2, "x2", "x3", first_name="Ann"), append(3, "x4"))
        await line.drain()
        assert await tags(sim) == ["x", "x2", "x3", "x4"]
        assert {o for o, _ in line.world.last().values()} == {"delivered"}
        (profile,) = (await sim.get("profiles"))["data"]
        assert profile["first_name"] == "Ann"


async def test_what_has_an_answer_is_not_read_back() -> None:
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        line.put(append(1, "x"), append(2, "x"), update(3, patch={"unappend": {"tags": "x"}}))
        line.put(append(4, "y"))
        await line.drain()
        assert await tags(sim) == ["y"]
        assert not await sim.requests("/api/profiles")


async def test_a_value_is_taken_off_once_in_doubt() -> None:
    async with simulator(budgets=FREE) as sim:
        await make_profile(sim, email="u1@shop.io", external_id="user1", properties={"tags": ["x", "y"]})
        await sim.fault(IMPORT, {"reset": "after"}, times=1)
        line = Line(sim.url)
        line.put(update(1, patch={"unappend": {"tags": ["x", "z"]}}))
        await line.drain()
        assert await tags(sim) == ["y"]
        again = [request["body"]["data"] for request in await sim.requests("profile-import")][-1]
        assert "meta" not in again


async def one_kill(at: int) -> bool:
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url, timeout_s=0.3)
        line.put(append(1, "a"), append(2, "b"), update(3, last_name="Lee"), append(4, "c"))
        async with line.life(Fuse(at)):
            survived = await line.until(line.all_ended)
        await line.drain()
        assert await tags(sim) == ["a", "b", "c"]
        assert {o for o, _ in line.world.last().values()} == {"delivered"}
        assert not line.world.dead_letters
        return not survived


async def test_an_append_is_done_once_whenever_the_process_dies() -> None:
    killed = await asyncio.gather(*(one_kill(at) for at in range(1, 16)))
    assert sum(killed) > 10


@given(values, values)
def test_what_is_missing_makes_it_whole_and_then_nothing_is(there: list[Any], wanted: list[Any]) -> None:
    left = missing({"append": {"tags": wanted}}, {"tags": there}).get("append", {}).get("tags", [])
    whole = [repr(value) for value in there + left]
    assert all(whole.count(repr(value)) >= wanted.count(value) for value in wanted if value not in (1, True))
    assert missing({"append": {"tags": wanted}}, {"tags": there + left}) == {}
    assert missing({"append": {"tags": wanted}}, {}) == ({"append": {"tags": wanted}} if wanted else {})


def test_an_answer_about_somebody_else_shows_nothing() -> None:
    data = [{"id": "1", "attributes": {"email": "B@shop.io", "properties": {"tags": "x"}}}]
    assert shown(data, "email", "b@shop.io") == {"tags": "x"}
    assert shown(data, "email", "a@shop.io") == {}
