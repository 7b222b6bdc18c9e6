"""The table of answers, over HTTP: what each makes of the rows, and that nothing is lost."""

import asyncio
from time import monotonic
from typing import Any

import pytest

from tests.deliver.line import Line, operation, simulator

ANY = {"path": "/api/*"}
CLOUDFLARE: dict[str, Any] = {"cloudflare": True}


@pytest.mark.parametrize(
    "do",
    [
        CLOUDFLARE,
        {"status": 408},
        {"status": 500},
        {"status": 502, "body": "<html>bad gateway</html>", "headers": {"content-type": "text/html"}},
        {"status": 503},
        {"status": 429, "headers": {"Retry-After": "1"}},
        {"status": 504, "body": '{"errors": [{"id'},
        {"reset": "before"},
        {"reset": "after"},
        {"delay_s": 1.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("count", [1, 60])
async def test_no_verdict_about_a_row_means_again(do: dict[str, Any], count: int) -> None:
    async with simulator() as sim:
        line = Line(sim.url, timeout_s=0.4)
        await sim.fault(ANY, do, times=2)
        line.put(*(operation(n) for n in range(count)))
        await line.drain()
        assert not line.world.dead_letters
        events = await sim.events()
        assert len(events) == len({e["unique_id"] for e in events}) == count


@pytest.mark.parametrize("status", [401, 403, 404, 405, 410, 415])
async def test_what_is_not_about_a_row_stops_the_lane_which_probes_and_loses_nothing(status: int) -> None:
    async with simulator() as sim:
        line = Line(sim.url, probe_s=0.15)
        await sim.fault({"path": "/api/event*"}, {"status": status}, rate=1.0)
        line.put(*(operation(n) for n in range(60)))
        line.put(*(operation(n, kind="profile", payload={"attributes": {"title": "x"}}) for n in range(3)))
        began = monotonic()
        async with line.life():
            tried: list[dict[str, Any]] = []
            async with asyncio.timeout(20):
                while len(tried) < 4 or len(line.world.outcomes) < 3:
                    await asyncio.sleep(0.02)
                    tried = await sim.requests("/api/event")
            assert len(tried) <= 2 + (monotonic() - began) / 0.15
            assert all(request["path"] == "/api/events" for request in tried[1:])
            assert len((await sim.get("profiles"))["data"]) == 3
            assert {o["event_id"] for o in line.world.outcomes} == {"m0", "m1", "m2"}
            await sim.heal()
            await line.until(line.all_ended)
        assert len(await sim.events()) == 60
        assert not line.world.dead_letters


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_obeyed(status: int) -> None:
    async with simulator() as sim:
        line = Line(sim.url)
        await sim.fault(ANY, {"status": status, "headers": {"Retry-After": "2"}}, times=1)
        line.put(operation(1))
        await line.drain()
        at = [request["at"] for request in await sim.requests()]
        assert at[1] - at[0] >= 2.0


async def test_two_kinds_of_repeats_are_recorded_once_when_bulk_refuses_known_ids() -> None:
    async with simulator(unique_id_mode="global") as sim:
        line = Line(sim.url, timeout_s=0.4)
        await sim.fault({"path": "/api/event-bulk*"}, {"reset": "after"}, times=1)
        line.put(*(operation(n, n % 30) for n in range(120)))
        await line.drain()
        events = await sim.events()
        assert len(events) == len({e["unique_id"] for e in events}) == 120
        assert not line.world.dead_letters


async def test_a_bulk_call_that_keeps_failing_is_halved_down_to_its_bad_row() -> None:
    async with simulator() as sim:
        line = Line(sim.url, tries=2)
        rows = [{"email": "u33@shop.io", "code": "invalid", "detail": "odd", "pointer": False}]
        await sim.fault({"path": "/api/event*"}, {"error_rows": rows}, rate=1.0)
        line.put(*(operation(n) for n in range(64)))
        await line.drain()
        assert [d["event_id"] for d in line.world.dead_letters] == ["m33"]
        assert len(await sim.events()) == 63


async def test_two_owners_of_the_identifiers_become_the_one_with_the_address() -> None:
    async with simulator() as sim:
        line = Line(sim.url)
        one = operation(1, kind="profile", payload={"attributes": {"title": "a"}})
        two = operation(2, kind="profile", payload={"attributes": {"title": "b"}})
        both = operation(3, kind="profile", payload={"attributes": {"title": "c"}})
        both["profile"] = both["profile"] | {"email": "u1@shop.io", "user_id": "user2"}
        line.put(one, two)
        await line.drain()
        line.put(both)
        await line.drain()
        assert not line.world.dead_letters
        (profile,) = (await sim.get("profiles"))["data"]
        assert (profile["email"], profile["title"]) == ("u1@shop.io", "c")


async def test_a_field_that_klaviyo_ignores_is_visible() -> None:
    async with simulator() as sim:
        line = Line(sim.url)
        await sim.fault(
            ANY, {"status": 202, "headers": {"X-Klaviyo-Partial-Failure": "phone_number"}}, times=1
        )
        line.put(operation(1))
        await line.drain()
        assert list(line.world.last().values()) == [("delivered", "field_ignored:phone_number")]


async def test_a_phone_that_cannot_be_one_is_left_out_visibly() -> None:
    async with simulator() as sim:
        line = Line(sim.url)
        op = operation(1)
        op["profile"]["phone"] = "+1555"
        line.put(op)
        await line.drain()
        assert list(line.world.last().values()) == [("delivered", "field_ignored:phone_number")]
        assert len(await sim.events()) == 1


async def test_what_breaks_a_limit_is_refused_before_it_is_sent() -> None:
    async with simulator() as sim:
        line = Line(sim.url)
        line.put(operation(1, payload={"metric": "M", "properties": {str(n): n for n in range(401)}}))
        line.put(operation(2, payload={"metric": "M" * 128, "properties": {}}), operation(3))
        await line.drain()
        assert [d["event_id"] for d in line.world.dead_letters] == ["m1", "m2"]
        assert "401" in line.world.dead_letters[0]["detail"]
        assert len(await sim.requests()) == 1


async def test_a_paused_lane_keeps_and_goes_on_when_resumed() -> None:
    async with simulator() as sim:
        line = Line(sim.url)
        line.pauses["events"] = "on purpose"
        line.put(operation(1), operation(2, kind="profile", payload={"attributes": {"title": "x"}}))
        async with line.life():
            await line.until(lambda: bool(line.world.outcomes))
            assert [o["event_id"] for o in line.world.outcomes] == ["m2"]
            line.pauses.clear()
            await line.until(line.all_ended)
        assert len(await sim.events()) == 1


async def test_unreadable_bytes_are_a_dead_letter_with_these_bytes() -> None:
    async with simulator() as sim:
        line = Line(sim.url)
        line.world.append("klaviyo.events", b"\x00\x00\x00\x00\x01junk")
        line.put(operation(1))
        await line.drain()
        (letter,) = line.world.dead_letters
        assert (letter["reason"], letter["bytes"]) == ("unreadable", b"\x00\x00\x00\x00\x01junk")
        assert len(await sim.events()) == 1


async def test_live_and_backfill_are_both_delivered_each_with_its_position() -> None:
    async with simulator() as sim:
        line = Line(sim.url)
        line.put(*(operation(n) for n in range(2000, 2300)), topic="klaviyo.events.backfill")
        line.put(*(operation(n) for n in range(300)))
        await line.drain()
        assert len(await sim.events()) == 600
        assert {topic: at["next"] for topic, at in line.world.positions.items()} == {
            "klaviyo.events": 300,
            "klaviyo.events.backfill": 300,
        }


async def test_an_outage_ends_without_a_dead_letter_even_for_single_rows() -> None:
    async with simulator() as sim:
        line = Line(sim.url, tries=2)
        fault = await sim.fault(ANY, {"status": 503}, rate=1.0)
        line.put(*(operation(n) for n in range(5)))
        async with line.life():
            await asyncio.sleep(2.0)
            assert not line.world.outcomes
            assert fault
            await sim.heal()
            await line.until(line.all_ended, 40)
        assert not line.world.dead_letters
        assert len(await sim.events()) == 5
