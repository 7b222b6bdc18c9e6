"""kill -9 of the lists lane at every boundary: the list is right in the end, and every row has an end."""

import asyncio

from streams.config.sections import Lists
from tests.deliver.fake_slot import Fuse
from tests.deliver.line import FREE, Line, simulator
from tests.deliver.test_lists import change


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
