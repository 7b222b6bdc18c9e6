"""Merges and erasures: Klaviyo has one person, and no lane speaks of the one that is gone."""

import asyncio
from typing import Any

from streams.deliver import notices
from streams.deliver.admin import Admin
from streams.deliver.family import Prepared
from streams.deliver.occupancy import Occupancy
from streams.deliver.row import Group, Row
from tests.deliver.fake_slot import Fuse
from tests.deliver.line import FREE, Line, Sim, make_profile, operation, simulator
from tests.deliver.test_conflicts import merges, update


def person(n: int, **over: Any) -> dict[str, Any]:
    none = {"email": None, "phone": None, "user_id": None, "anonymous_ids": []}
    return {"id": f"p{n}", **none, **over}


def merge(n: int, winner: dict[str, Any], loser: dict[str, Any]) -> dict[str, Any]:
    return operation(n, 1, "merge", profile=winner, payload={"loser": loser})


def erase(n: int, who: int, at: int, **over: Any) -> dict[str, Any]:
    op = operation(n, who, "erase", payload={}, **over)
    op["origin"] |= {"accepted_at": at}
    return op


def accepted(op: dict[str, Any], at: int) -> dict[str, Any]:
    op["origin"] |= {"accepted_at": at}
    return op


def ends(line: Line) -> dict[str, tuple[str, str]]:
    return {o["event_id"]: (o["outcome"], o["reason"]) for o in line.world.outcomes}


async def profiles(sim: Sim) -> list[dict[str, Any]]:
    return (await sim.get("profiles"))["data"]  # type: ignore[no-any-return]


LOSER = person(2, email="u1@shop.io")
WINNER = person(1, email="u1@shop.io", user_id="user1")


async def test_two_sides_become_one_and_what_waits_goes_under_the_winners_name() -> None:
    async with simulator(budgets=FREE) as sim:
        by_name = await make_profile(sim, external_id="user1")
        by_email = await make_profile(sim, email="u1@shop.io")
        line = Line(sim.url)
        line.put(merge(1, WINNER, LOSER))
        await line.drain()
        assert await merges(sim) == {(by_email, by_name)}
        old = person(2, email="old@shop.io", anonymous_ids=["a2"])
        line.put(
            operation(2, 2, profile=old),
            operation(3, 2, "profile", profile=old, payload={"attributes": {"first_name": "Ann"}}),
        )
        await line.drain()
        (profile,) = await profiles(sim)
        assert (profile["id"], profile["external_id"], profile["first_name"]) == (by_email, "user1", "Ann")
        assert {event["profile_id"] for event in await sim.events()} == {by_email}
        assert set(ends(line).values()) == {("delivered", "accepted")}
        assert line.world.store[b"k/p1"].decode() == line.world.store[b"k/p2"].decode() == by_email


async def test_one_side_at_klaviyo_or_none_is_unchanged_and_still_redirects() -> None:
    async with simulator(budgets=FREE) as sim:
        await make_profile(sim, email="u1@shop.io", external_id="user1")
        line = Line(sim.url)
        line.put(merge(1, WINNER, LOSER), merge(2, person(3, user_id="u3"), person(4, anonymous_ids=["x"])))
        await line.drain()
        assert ends(line) == {"m1": ("unchanged", "same_profile"), "m2": ("unchanged", "same_profile")}
        assert not await merges(sim)
        assert b"r/p2" in line.world.store
        assert b"r/p4" in line.world.store


async def test_a_merge_waits_for_open_calls_of_either_side_in_any_lane() -> None:
    async with simulator(budgets=FREE) as sim:
        await make_profile(sim, external_id="user1")
        await make_profile(sim, email="u1@shop.io")
        await sim.fault({"path": "/api/events"}, {"delay_s": 0.8}, times=1)
        line = Line(sim.url, timeout_s=3)
        async with line.life():
            line.put(operation(1, 2, profile=LOSER))
            async with asyncio.timeout(5):
                while not any(key.startswith(b"i/events") for key in line.world.store):
                    await asyncio.sleep(0.01)
            line.put(merge(2, WINNER, LOSER), operation(3, 2, profile=LOSER))
            await line.until(line.all_ended)
        requests = await sim.requests()
        (merged,) = [r for r in requests if r["path"] == "/api/profile-merge"]
        events = [r for r in requests if r["path"] == "/api/events"]
        assert len(events) == 2
        assert events[0]["at"] < merged["at"]
        assert merged["at"] - events[0]["at"] >= 0.7
        assert "user1" in str(events[1]["body"])
        assert len(await sim.events()) == 2


def test_a_merge_that_waited_for_its_budget_looks_again_who_is_busy() -> None:
    busy = {"p2"}
    occupancy = Occupancy(lambda: 100.0)
    occupancy.lanes["events"] = busy.__contains__
    admin = Admin(occupancy)
    op: Any = merge(1, WINNER, LOSER)
    row = Row("klaviyo.admin", 0, 0, op, b"")
    prepared = admin.prepare(op, 0)
    assert isinstance(prepared, Prepared)
    row.ready = prepared.ready
    row.ready.step, row.ready.into, row.ready.sources = "merge", "A", ["B"]
    group = Group("g", [row], bulk=False)
    asked = admin.request(group, {}.get)
    assert asked is not None
    assert (asked.path, row.ready.step, occupancy.claimed("p2")) == ("/api/profiles", "ask", True)
    busy.clear()
    row.ready.step, row.ready.into, row.ready.sources = "merge", "A", ["B"]
    sent = admin.request(group, {}.get)
    assert sent is not None
    assert sent.path == "/api/profile-merge"
    assert notices.redirect_key("p2") in admin.intends(group, 1)
    assert not occupancy.claimed("p2")


async def one_kill(at: int) -> bool:
    async with simulator(budgets=FREE, job_delay_s=0.1) as sim:
        by_name = await make_profile(sim, external_id="user1")
        by_email = await make_profile(sim, email="u1@shop.io")
        line = Line(sim.url, timeout_s=0.5)
        line.put(update(5, 1, first_name="Ann"), operation(6, 2, profile=LOSER), merge(7, WINNER, LOSER))
        async with line.life(Fuse(at)):
            survived = await line.until(line.all_ended)
        await line.drain(40)
        (profile,) = await profiles(sim)
        assert (profile["id"], profile["first_name"]) == (by_email, "Ann")
        assert len(await sim.events()) == 1
        assert await merges(sim) == {(by_email, by_name)}
        assert not line.world.dead_letters
        assert len(line.world.last()) == 3
        return not survived


async def test_klaviyo_has_one_person_whenever_the_process_dies() -> None:
    killed = await asyncio.gather(*(one_kill(at) for at in range(1, 30, 2)))
    assert sum(killed) > 6


async def test_an_erasure_refuses_what_was_accepted_before_it_and_nothing_later() -> None:
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        line.put(accepted(update(1, first_name="Ann"), 1000))
        await line.drain()
        line.put(erase(2, 1, at=2000))
        await line.drain()
        assert await profiles(sim) == []
        line.put(
            accepted(operation(3, 1), 1500),
            accepted(update(4, first_name="Ann"), 1900),
            accepted(operation(5, 1, profile=person(9, email="u1@shop.io")), 1999),
        )
        await line.drain()
        assert await profiles(sim) == []
        assert {ends(line)[f"m{n}"] for n in (3, 4, 5)} == {("refused", "erased")}
        line.put(accepted(update(6, first_name="Ann"), 3000), accepted(operation(7, 1), 3000))
        await line.drain()
        (profile,) = await profiles(sim)
        assert profile["first_name"] == "Ann"
        assert len(await sim.events()) == 1
        (body,) = [r["body"] for r in await sim.requests("data-privacy")]
        assert body["data"]["attributes"]["profile"]["data"]["attributes"] == {"email": "u1@shop.io"}


async def test_whoever_has_neither_address_nor_number_is_erased_by_klaviyos_id() -> None:
    async with simulator(budgets=FREE) as sim:
        klaviyo_id = await make_profile(sim, external_id="user1")
        line = Line(sim.url)
        line.put(erase(1, 1, 2000, profile=person(1, user_id="user1")))
        line.put(erase(2, 2, 2000, profile=person(2, user_id="user2")))
        await line.drain()
        assert await profiles(sim) == []
        assert ends(line) == {"m1": ("delivered", "accepted"), "m2": ("unchanged", "no_profile")}
        (body,) = [r["body"] for r in await sim.requests("data-privacy")]
        assert body["data"]["attributes"]["profile"]["data"]["id"] == klaviyo_id
