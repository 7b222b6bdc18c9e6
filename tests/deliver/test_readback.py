"""A 202 is not a receipt: what Klaviyo accepted is looked for, and what it lost is sent once more."""

import asyncio
from collections import Counter

import pytest

from streams.klaviyo.budgets import EVENTS_GET, Limit
from streams.klaviyo.receipts import selected
from tests.deliver.fake_slot import Fuse
from tests.deliver.line import WIDE, Line, Sim, operation, simulator

DROP = {"drop_after_202": True}


def reasons(line: Line) -> Counter[str]:
    return Counter(reason for _, reason in line.world.last().values())


def settled(line: Line) -> bool:
    """Nothing waits, and nothing is looked for any more."""
    return line.all_ended() and not [key for key in line.world.store if key.startswith((b"await/", b"lost/"))]


async def until_settled(line: Line, seconds: float = 30.0) -> None:
    async with line.life():
        assert await line.until(lambda: settled(line), seconds)


async def assert_all_there_once(line: Line, sim: Sim, count: int) -> None:
    events = await sim.events()
    assert len(events) == len({event["unique_id"] for event in events}) == count
    assert reasons(line) == {"confirmed": count}
    assert {outcome for outcome, _ in line.world.last().values()} == {"delivered"}
    assert not line.world.dead_letters


@pytest.mark.parametrize("count", [5, 1500])
async def test_what_is_there_is_confirmed_by_one_look(count: int) -> None:
    async with simulator() as sim:
        line = Line(sim.url, share=1.0, after_ms=1500)
        line.put(*(operation(n, n % 50) for n in range(count)))
        await until_settled(line)
        await assert_all_there_once(line, sim, count)
        assert all(event["n_received"] == 1 for event in await sim.events())
        calls = [r["method"] for r in await sim.requests("/api/event")]
        assert 0 < calls.count("GET") <= 3 * calls.count("POST")


@pytest.mark.parametrize("mode", ["per_request", "global"])
@pytest.mark.parametrize("count", [12, 700])
async def test_all_losses_are_found_and_mended_and_nothing_is_recorded_twice(mode: str, count: int) -> None:
    async with simulator(unique_id_mode=mode) as sim:
        await sim.fault({"path": "/api/event*", "method": "POST"}, DROP, rate=0.4, seed=7)
        line = Line(sim.url, share=1.0)
        line.put(*(operation(n, n % 300) for n in range(count)))
        async with line.life():
            assert await line.until(line.all_ended)
            assert len(await sim.events()) < count
            await sim.heal()
            assert await line.until(lambda: settled(line), 60)
        await assert_all_there_once(line, sim, count)


async def test_a_lost_event_is_looked_for_three_times_then_sent_alone_as_it_was() -> None:
    async with simulator() as sim:
        await sim.fault({"path": "/api/event*", "method": "POST"}, DROP, times=1)
        line = Line(sim.url, share=1.0)
        line.put(*(operation(n, 1) for n in range(40)))
        await until_settled(line)
        await assert_all_there_once(line, sim, 40)
        requests = [r for r in await sim.requests() if r["path"].startswith("/api/event")]
        paths = [(r["method"], r["path"]) for r in requests]
        first_single = paths.index(("POST", "/api/events"))
        assert paths[0] == ("POST", "/api/event-bulk-create-jobs")
        assert paths.count(("POST", "/api/event-bulk-create-jobs")) == 1
        assert paths.count(("POST", "/api/events")) == 40
        # Klaviyo has no such metric before the first event is there: the looks are at its metrics
        looks = [r for r in await sim.requests("/api/metrics") if r["n"] < requests[first_single]["n"]]
        assert len(looks) == 3
        sent = requests[0]["body"]["data"]["attributes"]["events-bulk-create"]["data"][0]["attributes"]
        bodies = {e["attributes"]["unique_id"]: e["attributes"] for e in sent["events"]["data"]}
        for request in requests:
            if (request["method"], request["path"]) == ("POST", "/api/events"):
                attributes = dict(request["body"]["data"]["attributes"])
                assert attributes.pop("profile") == sent["profile"]
                assert attributes == bodies[attributes["unique_id"]]


async def test_what_klaviyo_never_shows_ends_unconfirmed_and_is_sent_twice_at_most() -> None:
    async with simulator() as sim:
        await sim.fault({"path": "/api/events", "method": "POST"}, DROP, rate=1.0)
        line = Line(sim.url, share=1.0)
        line.put(operation(1))
        await until_settled(line)
        assert line.world.last() == {operation(1)["op_id"]: ("delivered", "unconfirmed")}
        posts = [r for r in await sim.requests("/api/events") if r["method"] == "POST"]
        assert len(posts) == 2


async def test_an_event_that_shows_late_is_not_recorded_twice() -> None:
    async with simulator(read_delay_s=0.8) as sim:
        line = Line(sim.url, share=1.0, after_ms=250)
        line.put(*(operation(n) for n in range(30)))
        await until_settled(line)
        assert len(await sim.events()) == 30
        assert set(reasons(line)) == {"confirmed"}


@pytest.mark.parametrize("share", [0.0, 0.1])
async def test_only_the_share_is_looked_for(share: float) -> None:
    async with simulator() as sim:
        line = Line(sim.url, share=share)
        line.put(*(operation(n, n % 50) for n in range(600)))
        await until_settled(line)
        wanted = {op_id for n in range(600) if selected(op_id := operation(n)["op_id"], share)}
        confirmed = {op_id for op_id, (_, reason) in line.world.last().items() if reason == "confirmed"}
        assert confirmed == wanted
        assert bool(confirmed) == bool(share)
        reads = [r for r in await sim.requests("/api/events") if r["method"] == "GET"]
        assert bool(reads) == bool(share)


async def test_beyond_the_cap_of_pages_they_stay_accepted() -> None:
    async with simulator() as sim:
        day = 86_400_000
        line = Line(sim.url, share=1.0, pages=3)
        now = operation(0)["time"]
        line.put(*(operation(n, n, time=now - n * day) for n in range(30)))
        await until_settled(line)
        assert reasons(line) == {"accepted": 27, "confirmed": 3}
        reads = [r for r in await sim.requests("/api/events") if r["method"] == "GET"]
        assert len(reads) == 3


async def test_a_profile_merged_meanwhile_is_no_matter() -> None:
    async with simulator() as sim:
        line = Line(sim.url, share=1.0, after_ms=1500)
        line.put(operation(1, 1), operation(2, 2))
        async with line.life():
            assert await line.until(line.all_ended)
            merge = {"loser": operation(1, 1)["profile"]}
            line.put(operation(3, 2, "merge", payload=merge))
            assert await line.until(lambda: settled(line), 30)
        ends = line.world.last()
        assert [ends[operation(n)["op_id"]] for n in (1, 2)] == [("delivered", "confirmed")] * 2
        assert len(await sim.events()) == 2


async def test_who_was_erased_meanwhile_is_not_made_again() -> None:
    async with simulator() as sim:
        await sim.fault({"path": "/api/events", "method": "POST"}, DROP, times=1)
        line = Line(sim.url, share=1.0)
        line.put(operation(1, 1))
        async with line.life():
            assert await line.until(lambda: bool(line.world.outcomes))
            line.put(operation(2, 1, "erase", payload={}))
            assert await line.until(lambda: settled(line), 30)
        assert line.world.last()[operation(1)["op_id"]] == ("refused", "erased")
        assert not await sim.events()


async def test_a_paused_lane_is_not_looked_for_and_goes_on_later() -> None:
    async with simulator() as sim:
        line = Line(sim.url, share=1.0)
        line.put(operation(1))
        async with line.life():
            assert await line.until(line.all_ended)
            line.pauses["events"] = "by hand"
            await asyncio.sleep(0.6)
            assert not [r for r in await sim.requests("/api/events") if r["method"] == "GET"]
            line.pauses.clear()
            assert await line.until(lambda: settled(line))
        assert reasons(line) == {"confirmed": 1}


@pytest.mark.parametrize(
    "fault", [{"status": 503}, {"status": 429, "headers": {"Retry-After": "1"}}, {"reset": "before"}]
)
async def test_a_look_that_fails_has_not_been(fault: dict[str, object]) -> None:
    async with simulator() as sim:
        await sim.fault({"path": "/api/events", "method": "GET"}, fault, times=4)
        line = Line(sim.url, share=1.0)
        line.put(*(operation(n) for n in range(10)))
        await until_settled(line)
        await assert_all_there_once(line, sim, 10)
        assert all(event["n_received"] == 1 for event in await sim.events())


async def test_a_key_that_may_not_read_stops_no_sending() -> None:
    async with simulator() as sim:
        body = {"errors": [{"id": "1", "code": "permission_denied", "title": "No", "detail": "events:read"}]}
        await sim.fault({"path": "/api/events", "method": "GET"}, {"status": 403, "body": body}, rate=1.0)
        line = Line(sim.url, share=1.0)
        line.put(operation(1))
        async with line.life():
            assert await line.until(line.all_ended)
            await asyncio.sleep(0.4)
            line.put(operation(2))
            assert await line.until(line.all_ended)
            assert reasons(line) == {"accepted": 2}
            await sim.heal()
            assert await line.until(lambda: settled(line))
        assert reasons(line) == {"confirmed": 2}


async def test_reading_keeps_within_its_own_budget() -> None:
    async with simulator(
        budgets={"events/get": {"burst": 3, "steady": 6}}, windows_s={"burst": 1, "steady": 3}
    ) as sim:
        limits = WIDE | {EVENTS_GET: Limit(3, 6, steady_s=3.0, at_once=3)}
        line = Line(sim.url, share=1.0, limits=limits)
        now = operation(0)["time"]
        line.put(*(operation(n, n, time=now - n * 3_600_000) for n in range(8)))
        await until_settled(line, 40)
        assert reasons(line) == {"confirmed": 8}
        assert not [r for r in await sim.requests() if r["status"] == 429]


async def one_kill(at: int, count: int) -> bool:
    async with simulator() as sim:
        await sim.fault({"path": "/api/event*", "method": "POST"}, DROP, times=1)
        line = Line(sim.url, share=1.0, timeout_s=0.3, after_ms=80)
        line.put(*(operation(n, n % 20) for n in range(count)))
        fuse = Fuse(at)
        async with line.life(fuse):
            survived = await line.until(lambda: settled(line), 40)
        await until_settled(line, 40)
        await assert_all_there_once(line, sim, count)
        assert not [key for key in line.world.store if key.startswith(b"i/")]
        return not survived


@pytest.mark.parametrize("count", [3, 30])
async def test_a_kill_at_any_boundary_neither_loses_nor_doubles(count: int) -> None:
    """Before and after each transaction and each call, of sending, looking and sending once more."""
    killed = await asyncio.gather(*(one_kill(at, count) for at in range(1, 40, 2)))
    assert sum(killed) > 10
