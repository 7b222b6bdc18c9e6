"""kill -9 of the consent lane at every boundary: nobody's last word is lost."""

import asyncio

from tests.deliver.fake_slot import Fuse
from tests.deliver.line import FREE, Line, simulator
from tests.deliver.test_consent import at_klaviyo, consent, now, say
from tests.deliver.test_lists import make_list


async def one_kill(at: int) -> bool:
    async with simulator(budgets=FREE) as sim:
        list_id = await make_list(sim)
        for n in (20, 21):
            await at_klaviyo(sim, "create", f"u{n}@shop.io", list_id)
        line = Line(sim.url, timeout_s=0.3)
        time = now()
        line.put(*(say(n, n, time=time - 3000) for n in range(9)))
        line.put(*(say(30 + n, n, "unsubscribe", time=time - 2000) for n in range(0, 9, 3)))
        line.put(*(say(60 + n, n, time=time - 4000) for n in range(9)))
        line.put(*(say(n, n, "unsubscribe", {"list": "News"}) for n in (20, 21)))
        fuse = Fuse(at)
        async with line.life(fuse):
            survived = await line.until(line.all_ended, 60)
        await line.drain(60)
        found = await consent(sim)
        assert all(found.get(f"u{n}@shop.io") != "SUBSCRIBED" for n in range(0, 9, 3))
        assert all(found[f"u{n}@shop.io"] == "SUBSCRIBED" for n in range(9) if n % 3)
        assert found["u20@shop.io"] == found["u21@shop.io"] == "SUBSCRIBED"
        assert (await sim.get("lists"))["data"][0]["profiles"] == []
        assert len(line.world.last()) == 23
        assert not line.world.dead_letters
        return not survived


async def test_the_last_word_counts_whenever_the_process_dies() -> None:
    killed = await asyncio.gather(*(one_kill(at) for at in range(1, 30, 3)))
    assert sum(killed) > 4
