"""kill -9 of the lists lane at every boundary: the list is right in the end, and every row has an end."""

import asyncio

from streams.config.sections import Lists
from tests.deliver.fake_slot import Fuse
from tests.deliver.line import FREE, Line, simulator
from tests.deliver.test_lists import change, make_profiles


async def one_kill(at: int) -> bool:
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url, lists=Lists(create=True), timeout_s=0.3)
        line.put(*(change(n, n) for n in range(12)))
        line.put(*(change(20 + n, n, "list_remove") for n in range(0, 12, 3)))
        fuse = Fuse(at)
        async with line.life(fuse):
            survived = await line.until(line.all_ended, 60)
        await line.drain(60)
        (found,) = (await sim.get("lists"))["data"]
        assert set(found["emails"]) == {f"u{n}@shop.io" for n in range(12) if n % 3}
        assert len(line.world.last()) == 16
        assert not line.world.dead_letters
        assert not [key for key in line.world.store if key.startswith(b"i/")]
        return not survived


async def test_members_are_right_whenever_the_process_dies() -> None:
    killed = await asyncio.gather(*(one_kill(at) for at in range(1, 40, 3)))
    assert sum(killed) > 6


async def one_kill_while_many_ask(at: int) -> bool:
    async with simulator(latency_ms=3, budgets=FREE) as sim:
        await make_profiles(sim, 40)
        line = Line(sim.url, lists=Lists(create=True), timeout_s=0.3)
        line.put(*(change(n, n) for n in range(20)))
        async with line.life(Fuse(at)):
            survived = await line.until(line.all_ended, 60)
        # rows that were in no call of the former life must not make the list again either
        line.put(*(change(n, n) for n in range(20, 40)))
        await line.drain(60)
        (found,) = (await sim.get("lists"))["data"]
        assert len(found["emails"]) == 40
        assert set(line.world.last().values()) == {("delivered", "accepted")}
        return not survived


async def test_a_list_is_made_once_whenever_the_process_dies() -> None:
    killed = await asyncio.gather(*(one_kill_while_many_ask(at) for at in range(1, 14)))
    assert sum(killed) > 8


async def test_a_list_is_made_once_though_klaviyo_takes_its_time_and_the_process_dies_meanwhile() -> None:
    async with simulator(budgets=FREE) as sim:
        await make_profiles(sim, 10)
        await sim.fault({"path": "/api/lists", "method": "POST"}, {"delay_s": 0.5, "when": "before"}, times=1)
        line = Line(sim.url, lists=Lists(create=True), timeout_s=2)
        line.put(change(1, 1))
        async with line.life():
            await line.until(lambda: b"making" in line.world.store.get(b"l/News", b""))
            await asyncio.sleep(0.1)  # the call leaves once its intent is written
        line.put(*(change(n, n) for n in range(2, 10)))
        await line.drain(60)
        (found,) = (await sim.get("lists"))["data"]
        assert set(found["emails"]) == {f"u{n}@shop.io" for n in range(1, 10)}
        made = [r for r in await sim.requests("/api/lists") if r["path"].rstrip("/") == "/api/lists"]
        assert len([request for request in made if request["method"] == "POST"]) == 1
