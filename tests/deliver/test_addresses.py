"""An address or number that was replaced does not come back with what waited elsewhere."""

import asyncio
from typing import Any

import pytest

from tests.deliver.fake_slot import Fuse
from tests.deliver.line import FREE, Line, Sim, operation, simulator
from tests.deliver.test_consent import UNSUBSCRIBE, consent, say
from tests.deliver.test_lists import make_list, members

OLD, NEW = "old@shop.io", "new@shop.io"


def as_(op: dict[str, Any], email: str, at: int, phone: str | None = None, **more: Any) -> dict[str, Any]:
    op["profile"] |= {"email": email, "email_at": at, "phone": phone, "phone_at": at if phone else -1, **more}
    return op


def event(n: int, email: str, at: int, **more: Any) -> dict[str, Any]:
    return as_(operation(n, 1), email, at, **more)


def update(n: int, email: str, at: int, **more: Any) -> dict[str, Any]:
    return as_(operation(n, 1, "profile", payload={"attributes": {"first_name": f"A{n}"}}), email, at, **more)


async def people(sim: Sim) -> list[tuple[str, str | None]]:
    return [(p["email"], p["phone_number"]) for p in (await sim.get("profiles"))["data"]]


@pytest.mark.parametrize("waiting", [1, 60])
async def test_events_that_waited_do_not_bring_back_a_replaced_address(waiting: int) -> None:
    """Singly and in bulk; with the address the number."""
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url, pauses={"events": "for the test"})
        line.put(update(1, OLD, 10, phone="+12025550123"))
        line.put(*(event(n, OLD, 10, phone="+12025550123") for n in range(100, 100 + waiting)))
        line.put(update(2, NEW, 20, phone="+12025550124"))
        async with line.life():
            await line.until(lambda: len(line.world.outcomes) == 2)
            assert await people(sim) == [(NEW, "+12025550124")]
            line.pauses.clear()
            assert await line.until(line.all_ended)
        assert await people(sim) == [(NEW, "+12025550124")]
        assert len(await sim.events()) == waiting
        assert {o for o, _ in line.world.last().values()} == {"delivered"}


async def test_a_backfill_brings_back_no_address_that_live_replaced() -> None:
    """Nor the other way round: what an import tells that is newer counts."""
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        line.put(update(1, NEW, 20))
        await line.drain()
        line.put(update(2, OLD, 10), topic="klaviyo.profiles.backfill")
        line.put(event(4, OLD, 10), topic="klaviyo.events.backfill")
        await line.drain()
        assert await people(sim) == [(NEW, None)]
        line.put(update(5, "newest@shop.io", 30), topic="klaviyo.profiles.backfill")
        line.put(update(6, NEW, 20))
        await line.drain()
        assert await people(sim) == [("newest@shop.io", None)]


@pytest.mark.parametrize("do", [{"status": 503}, {"reset": "before"}, {"reset": "after"}])
async def test_an_event_that_is_sent_again_goes_under_the_newest_address(do: dict[str, Any]) -> None:
    """It was tried before the address was replaced; its user id says whose it is all the same."""
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        line.put(update(1, OLD, 10))
        await line.drain()
        fault = await sim.fault({"path": "/api/events"}, do)
        line.put(event(2, OLD, 10))
        async with line.life():
            async with asyncio.timeout(10):
                while not await sim.requests("/api/events"):
                    await asyncio.sleep(0.01)
            line.put(update(3, NEW, 20))
            assert await line.until(lambda: len(line.world.outcomes) == 2)
            await sim.heal()
            assert await line.until(line.all_ended)
        assert fault
        assert await people(sim) == [(NEW, None)]
        assert len(await sim.events()) == 1


async def test_a_profile_that_klaviyo_lost_comes_back_whole() -> None:
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        line.put(update(1, OLD, 10), update(2, NEW, 20))
        await line.drain()
        async with sim.session.post(f"{sim.url}/sim/reset") as reply:
            assert reply.status < 300
        await sim.put(keys={"pk_test": "acme"}, budgets=FREE)
        line.put(event(3, OLD, 10))
        await line.drain()
        (profile,) = (await sim.get("profiles"))["data"]
        assert (profile["email"], profile["external_id"]) == (NEW, "user1")


async def test_somebody_is_made_known_for_a_list_under_the_newest_address() -> None:
    async with simulator(budgets=FREE) as sim:
        list_id = await make_list(sim)
        line = Line(sim.url, pauses={"lists": "for the test"})
        line.put(as_(operation(2, 1, "list_add", payload={"list": list_id}), OLD, 10))
        line.put(update(1, OLD, 10), update(3, NEW, 20))
        async with line.life():
            assert await line.until(lambda: len(line.world.outcomes) == 2)
            del line.world.store[b"k/p1"]
            line.pauses.clear()
            assert await line.until(line.all_ended)
        assert await people(sim) == [(NEW, None)]
        assert len(await members(sim)) == 1


async def test_an_erasure_forgets_addresses() -> None:
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        line.put(update(1, OLD, 10))
        await line.drain()
        assert b"a/p1" in line.world.store
        line.put(as_(operation(2, 1, "erase", payload={}), OLD, 10))
        await line.drain()
        assert not [key for key, value in line.world.store.items() if OLD.encode() in value]


async def one_kill(at: int) -> bool:
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url, timeout_s=0.3)
        line.put(update(1, OLD, 10))
        await line.drain()
        line.put(update(2, NEW, 20), topic="klaviyo.profiles")
        line.pauses["events"] = "for the test"
        line.put(event(3, OLD, 10), event(4, OLD, 10))
        async with line.life(Fuse(at)):
            survived = await line.until(lambda: len(line.world.outcomes) == 2)
        line.pauses.clear()
        await line.drain()
        assert await people(sim) == [(NEW, None)]
        assert len(await sim.events()) == 2
        return not survived


async def test_the_newest_address_counts_whenever_the_process_dies() -> None:
    killed = await asyncio.gather(*(one_kill(at) for at in range(1, 6)))
    assert sum(killed) >= 3


@pytest.mark.parametrize("tried", [False, True])
async def test_a_farewell_that_waited_counts_for_whoever_has_another_address_by_now(tried: bool) -> None:
    """Under the old one it would make a new profile, and this one would be written to as before."""
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        line.put(update(1, OLD, 10), as_(say(2, 1), OLD, 10))
        await line.drain()
        assert await consent(sim) == {OLD: "SUBSCRIBED"}
        if tried:
            await sim.fault({"path": f"*{UNSUBSCRIBE}*"}, {"status": 503})
        else:
            line.pauses["consent"] = "for the test"
        line.put(as_(say(3, 1, "unsubscribe"), OLD, 10), as_(say(4, 1, "suppress"), OLD, 10))
        async with line.life():
            async with asyncio.timeout(10):
                while tried and not await sim.requests(UNSUBSCRIBE):
                    await asyncio.sleep(0.01)
            line.put(update(5, NEW, 20))
            assert await line.until(lambda: line.world.last().get(update(5, NEW, 20)["op_id"]) is not None)
            line.pauses.clear()
            await sim.heal()
            assert await line.until(line.all_ended)
        assert await people(sim) == [(NEW, None)]
        assert await consent(sim) == {NEW: "UNSUBSCRIBED"}


async def test_what_comes_for_somebody_merged_goes_under_the_winners_newest_address() -> None:
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        line.put(update(1, OLD, 10))
        await line.drain()
        loser = operation(0, 2)["profile"]
        line.put(as_(operation(2, 1, "merge", payload={"loser": loser}), OLD, 10))
        await line.drain()
        line.put(update(3, NEW, 20))
        await line.drain()
        line.put(operation(4, 2), event(5, OLD, 10))
        await line.drain()
        assert await people(sim) == [(NEW, None)]
        assert len(await sim.events()) == 2


async def test_what_does_not_say_since_when_stays_as_it_is() -> None:
    """It comes of a release that did not say it, and may be the newer one."""
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        line.put(update(1, OLD, 10))
        await line.drain()
        line.put(event(2, NEW, -1))
        await line.drain()
        assert await people(sim) == [(NEW, None)]
