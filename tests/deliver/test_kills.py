"""kill -9 at every boundary: before and after each transaction, before and after each call."""

import asyncio

import orjson
import pytest

from streams.deliver.budget import SLICE_S
from tests.deliver.fake_slot import Fuse
from tests.deliver.line import Line, Sim, operation, simulator


async def live_and_die(line: Line, at: int) -> bool:
    """One life that ends at its n-th boundary, then lives until all is done; False if it never got there."""
    fuse = Fuse(at)
    async with line.life(fuse):
        survived = await line.until(line.all_ended)
    await line.drain()
    return not survived


async def assert_once(line: Line, sim: Sim, count: int) -> None:
    events = await sim.events()
    assert len(events) == len({(e["profile_id"], e["unique_id"]) for e in events}) == count
    assert len(line.world.last()) == count
    assert [(letter["reason"], letter["detail"]) for letter in line.world.dead_letters] == []
    assert {outcome for outcome, _ in line.world.last().values()} == {"delivered"}
    assert not [key for key in line.world.store if key.startswith(b"i/")]


async def one_kill(mode: str, count: int, at: int) -> bool:
    async with simulator(unique_id_mode=mode) as sim:
        line = Line(sim.url, timeout_s=0.3)
        line.put(*(operation(n, n % 20) for n in range(count)))
        killed = await live_and_die(line, at)
        await assert_once(line, sim, count)
        return killed


@pytest.mark.parametrize("mode", ["per_request", "global"])
@pytest.mark.parametrize("count", [3, 60])
async def test_nothing_is_missing_or_recorded_twice(mode: str, count: int) -> None:
    killed: list[bool] = []
    while all(killed):  # as many boundaries as a life has here: a slow machine has more
        first = len(killed) + 1
        killed += await asyncio.gather(*(one_kill(mode, count, at) for at in range(first, first + 20)))
    assert sum(killed) > 4


async def one_kill_of_an_update(at: int) -> bool:
    async with simulator() as sim:
        line = Line(sim.url, timeout_s=0.3)
        line.put(
            operation(1, 1, "profile", time=1, payload={"attributes": {"first_name": "A"}}),
            operation(2, 1, "profile", time=2, payload={"attributes": {"first_name": "B"}}),
        )
        killed = await live_and_die(line, at)
        profiles = (await sim.get("profiles"))["data"]
        assert len(profiles) == 1
        assert {o for o, _ in line.world.last().values()} <= {"delivered", "unchanged"}
        return killed


async def test_an_update_in_doubt_is_sent_again_as_it_was() -> None:
    killed = await asyncio.gather(*(one_kill_of_an_update(at) for at in range(1, 12)))
    assert sum(killed) > 4


async def test_what_is_in_doubt_goes_again_no_sooner_than_its_call_may_have_lasted() -> None:
    async with simulator() as sim:
        line = Line(sim.url, timeout_s=0.5)
        fault = await sim.fault({"path": "/api/event*"}, {"delay_s": 20})
        line.put(operation(1))
        async with line.life():
            assert await line.until(lambda: any(key.startswith(b"i/") for key in line.world.store))
        (intent,) = [orjson.loads(value) for key, value in line.world.store.items() if key.startswith(b"i/")]
        await sim.heal()
        await line.drain()
        at = [each["at"] for each in await sim.requests("/api/event") if each["fault"] != fault]
        assert at
        assert min(at) >= intent["at"] / 1000 + SLICE_S + 0.5 - 0.01


async def test_many_kills_in_a_row_end_well() -> None:
    async with simulator(unique_id_mode="global") as sim:
        line = Line(sim.url, timeout_s=0.2)
        line.put(*(operation(n, n % 40) for n in range(400)))
        for at in (1, 2, 3, 4, 5, 3, 4, 5, 4, 5):
            async with line.life(Fuse(at)):
                await line.until(line.all_ended)
        await line.drain()
        await assert_once(line, sim, 400)
