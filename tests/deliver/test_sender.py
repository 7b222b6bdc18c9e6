"""One lane against a strict simulator, from operations to what Klaviyo has."""

import asyncio
from time import monotonic, time

import pytest

from tests.deliver.line import Line, operation, simulator


async def test_a_lone_event_leaves_at_once_as_a_single_call() -> None:
    async with simulator() as sim:
        line = Line(sim.url)
        async with line.life():
            await asyncio.sleep(0.05)
            began = monotonic()
            line.put(operation(1))
            await line.until(lambda: bool(line.world.outcomes))
            assert monotonic() - began < 0.5
        requests = await sim.requests()
        assert [r["path"] for r in requests] == ["/api/events"]
        assert requests[0]["headers"]["revision"] == "2026-07-15"
        assert line.world.last() == {operation(1)["op_id"]: ("delivered", "accepted")}


async def test_alone_on_a_quiet_lane_events_leave_within_fifty_milliseconds() -> None:
    """The middle one of some: each has its transaction before it, and its call."""
    async with simulator() as sim:
        line = Line(sim.url)
        put_at: dict[str, float] = {}
        async with line.life():
            for n in range(15):
                put_at[operation(n)["op_id"]] = time()
                line.put(operation(n))
                await line.until(lambda done=n + 1: len(line.world.outcomes) == done)  # type: ignore[misc]
        calls = await sim.requests()
        assert [call["path"] for call in calls] == ["/api/events"] * 15
        waits = sorted(call["at"] - put_at[call["body"]["data"]["attributes"]["unique_id"]] for call in calls)
        assert waits[7] < 0.05


async def test_a_backlog_goes_in_bulk_and_each_event_is_recorded_once() -> None:
    async with simulator() as sim:
        line = Line(sim.url)
        line.put(*(operation(n, n % 300) for n in range(3000)))
        await line.drain()
        events = await sim.events()
        assert len(events) == 3000
        assert {e["unique_id"] for e in events} == {operation(n)["op_id"] for n in range(3000)}
        bulk = await sim.requests("bulk")
        assert len(bulk) <= 8
        assert set(line.world.last().values()) == {("delivered", "accepted")}
        assert not [key for key in line.world.store if key.startswith(b"i/")]


async def test_the_events_of_a_profile_keep_their_order() -> None:
    async with simulator(latency_ms=20) as sim:
        line = Line(sim.url)
        line.put(*(operation(n, n % 7) for n in range(700)))
        await line.drain()
        seen: dict[str, list[int]] = {}
        for request in await sim.requests():
            attributes = request["body"]["data"]["attributes"]
            rows = (
                [(g["attributes"]["profile"], e["attributes"])
                 for g in attributes["events-bulk-create"]["data"] for e in g["attributes"]["events"]["data"]]
                if "events-bulk-create" in attributes else [(attributes["profile"], attributes)]
            )  # fmt: skip
            for profile, event in rows:
                seen.setdefault(profile["data"]["attributes"]["email"], []).append(event["properties"]["n"])
        assert len(seen) == 7
        assert all(numbers == sorted(numbers) for numbers in seen.values())


async def test_a_repeated_op_id_is_a_duplicate_within_and_after_a_life() -> None:
    async with simulator() as sim:
        line = Line(sim.url)
        line.put(operation(1), operation(1), operation(2, 1))
        await line.drain()
        line.put(operation(2, 1))
        await line.drain()
        outcomes = sorted((o["event_id"], o["outcome"], o["reason"]) for o in line.world.outcomes)
        assert outcomes == [
            ("m1", "delivered", "accepted"),
            ("m1", "duplicate", "sent_before"),
            ("m2", "delivered", "accepted"),
            ("m2", "duplicate", "sent_before"),
        ]
        assert [e["n_received"] for e in await sim.events()] == [1, 1]


async def test_updates_that_wait_are_folded_and_what_is_known_is_not_sent() -> None:
    async with simulator() as sim:
        line = Line(sim.url)

        def update(n: int, time: int, **attributes: object) -> dict[str, object]:
            return operation(n, 1, "profile", time=time, payload={"attributes": attributes})

        line.put(
            update(1, 1000, first_name="Ann", properties={"plan": "free"}),
            update(2, 3000, first_name="Anna", properties={"plan": "pro"}),
            update(3, 2000, first_name="An", last_name="Lee"),
        )
        await line.drain()
        line.put(update(4, 5000, first_name="Anna"), update(5, 1500, first_name="Old"))
        await line.drain()
        requests = await sim.requests("profile-import")
        assert len(requests) == 1
        assert requests[0]["body"]["data"]["attributes"] == {
            "email": "u1@shop.io", "external_id": "user1", "first_name": "Anna", "last_name": "Lee",
            "properties": {"plan": "pro"},
        }  # fmt: skip
        ends = {o["event_id"]: (o["outcome"], o["reason"]) for o in line.world.outcomes}
        assert ends["m1"] == ends["m2"] == ends["m3"] == ("delivered", "accepted")
        assert ends["m4"] == ends["m5"] == ("unchanged", "same_values")
        assert line.world.store[b"k/p1"]


async def test_an_unsupported_kind_is_a_dead_letter() -> None:
    async with simulator() as sim:
        line = Line(sim.url)
        line.put(operation(1, kind="erase", payload={}), topic="klaviyo.events")
        await line.drain()
        assert [(d["reason"], d["lane"]) for d in line.world.dead_letters] == [("unsupported", "events")]


@pytest.mark.parametrize("pointer", [True, False])
async def test_one_bad_row_costs_one_row(pointer: bool) -> None:
    async with simulator() as sim:
        line = Line(sim.url)
        line.put(*(operation(n) for n in range(300)))
        rows = [
            {"email": f"u{n}@shop.io", "code": "invalid", "detail": "No", "pointer": pointer}
            for n in (7, 200)
        ]
        await sim.fault({"path": "/api/event*"}, {"error_rows": rows}, times=100)
        await line.drain()
        assert sorted(d["event_id"] for d in line.world.dead_letters) == ["m200", "m7"]
        letter = line.world.dead_letters[0]
        assert letter["reason"] == "rejected"
        assert letter["reply"]["status"] == 400
        assert len(await sim.events()) == 298
        assert sum(end == ("delivered", "accepted") for end in line.world.last().values()) == 298
