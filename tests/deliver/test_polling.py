"""Engagement is asked for where no webhook brings it: each event once, through failures and kills."""

import asyncio
from collections.abc import Callable
from io import BytesIO
from time import time
from typing import Any

import orjson
import pytest

from streams.config.sections import Engagement
from streams.deliver.reading import polled
from streams.deliver.reading.polling import TOPIC, Settings
from streams.klaviyo.polling import Item
from tests.deliver.fake_slot import Fuse, World, codec
from tests.deliver.line import Line, Sim, operation, simulator

FORWARD = Engagement().forward
REFUSED = {"errors": [{"id": "1", "code": "permission_denied", "title": "No", "detail": "events:read"}]}


def polling(sim: Sim, every_s: float = 0.05, **line: Any) -> Line:
    encode = codec("engagement").encode
    return Line(sim.url, poll=Settings(every_s, FORWARD, 3, encode), **line)


async def engage(sim: Sim, n: int = 1, metric: str = "Opened Email", email: str = "a@shop.io") -> list[str]:
    asked = {"account": "acme", "email": email, "metric": metric, "n": n}
    async with sim.session.post(f"{sim.url}/sim/engage", json=asked) as reply:
        assert reply.status == 200, await reply.text()
        return list((await reply.json())["events"])


def records(world: World) -> list[dict[str, Any]]:
    return [codec("engagement").decode(value or b"") for _, _, value in world.sent.get(TOPIC, [])]


def ids(world: World) -> list[str]:
    return sorted(each["event_id"] for each in records(world))


def has(line: Line, wanted: list[str]) -> Callable[[], bool]:
    return lambda: set(wanted) <= set(ids(line.world))


async def reads(sim: Sim) -> list[dict[str, Any]]:
    return [r for r in await sim.requests("/api/events") if r["method"] == "GET"]


async def turns(line: Line, sim: Sim, more: int) -> None:
    """Wait for so many further reads of events."""
    async with asyncio.timeout(10):
        before = len(await reads(sim))
        while len(await reads(sim)) < before + more:
            await asyncio.sleep(0.01)


async def test_what_is_polled_is_written_as_a_webhooks_in_the_spaces_slot() -> None:
    async with simulator() as sim:
        wanted = await engage(sim, 2) + await engage(sim, 1, "Clicked Email", "b@shop.io")
        await engage(sim, 1, "Active on Site")
        line = polling(sim)
        async with line.life():
            assert await line.until(has(line, wanted))
        assert ids(line.world) == sorted(wanted)
        assert {(at, key) for at, key, _ in line.world.sent[TOPIC]} == {
            (3, b"acme\0e:a@shop.io"), (3, b"acme\0e:b@shop.io"),
        }  # fmt: skip
        clicked = next(each for each in records(line.world) if each["email"] == "b@shop.io")
        assert clicked["topic"] == "event:klaviyo.clicked_email"
        assert (clicked["account"], clicked["space"], bool(clicked["klaviyo_id"])) == ("acme", "acme", True)
        item = orjson.loads(clicked["body"])
        assert item["external_id"] == clicked["event_id"]
        assert item["payload"]["data"]["attributes"]["event_properties"]["Client Name"] == "Chrome"
        assert not line.world.dead_letters


async def test_what_is_asked_for_again_is_written_once() -> None:
    async with simulator() as sim:
        line = polling(sim)
        first = await engage(sim, 5)
        async with line.life():
            assert await line.until(has(line, first))
            await turns(line, sim, 3)
            second = await engage(sim, 5)
            assert await line.until(has(line, second))
            await turns(line, sim, 3)
        async with line.life():  # and by the next owner
            await turns(line, sim, 3)
        assert ids(line.world) == sorted(first + second)


async def test_what_is_remembered_of_an_event_is_one_mark() -> None:
    async with simulator() as sim:
        line = polling(sim)
        wanted = await engage(sim)
        async with line.life():
            assert await line.until(has(line, wanted))
            await turns(line, sim, 2)
        assert len([key for key in line.world.store if key.startswith(b"polled/")]) == 1


async def test_more_than_a_page_is_read_to_its_end() -> None:
    async with simulator() as sim:
        wanted = await engage(sim, 2300)
        line = polling(sim)
        async with line.life():
            assert await line.until(has(line, wanted))
        assert ids(line.world) == sorted(wanted)


async def test_an_event_that_shows_late_is_not_missed() -> None:
    async with simulator(read_delay_s=0.6) as sim:
        line = polling(sim)
        early = await engage(sim, 3)
        await sim.put(read_delay_s=0)
        newer = await engage(sim, 3)
        async with line.life():
            assert await line.until(has(line, early + newer))
        assert ids(line.world) == sorted(early + newer)


async def test_a_paused_lane_to_segment_is_not_polled_for_and_nothing_is_lost() -> None:
    async with simulator() as sim:
        line = polling(sim, pauses={"segment": "by hand"})
        wanted = await engage(sim, 3)
        async with line.life():
            await asyncio.sleep(0.2)
            assert await sim.requests() == []
            line.pauses.clear()
            assert await line.until(has(line, wanted))


async def test_a_stopped_lane_of_sending_is_no_matter() -> None:
    async with simulator() as sim:
        await sim.fault({"path": "/api/events", "method": "POST"}, {"status": 401}, rate=1.0)
        line = polling(sim)
        line.put(operation(1))
        wanted = await engage(sim, 2)
        async with line.life():
            assert await line.until(has(line, wanted))


@pytest.mark.parametrize("path", ["/api/events", "/api/metrics"])
async def test_a_key_that_may_not_read_is_told_once_and_stops_no_sending(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with simulator() as sim:
        await sim.fault({"path": path, "method": "GET"}, {"status": 403, "body": REFUSED}, rate=1.0)
        line = polling(sim, probe_s=0.05)
        wanted = await engage(sim)
        line.put(operation(1))
        async with line.life():
            assert await line.until(line.all_ended)
            async with asyncio.timeout(10):
                while len([r for r in await sim.requests(path) if r["status"] == 403]) < 4:
                    await asyncio.sleep(0.01)
            assert not ids(line.world)
            await sim.heal()
            assert await line.until(has(line, wanted))
        told = [record for record in caplog.records if record.getMessage() == "poll_refused"]
        assert len(told) == 1


@pytest.mark.parametrize(
    "fault", [{"status": 503}, {"status": 429, "headers": {"Retry-After": "1"}}, {"reset": "before"}]
)
async def test_a_failed_read_is_asked_for_again(fault: dict[str, object]) -> None:
    async with simulator() as sim:
        await sim.fault({"path": "/api/events", "method": "GET"}, fault, times=2)
        line = polling(sim)
        wanted = await engage(sim, 3)
        async with line.life():
            assert await line.until(has(line, wanted))
        assert ids(line.world) == sorted(wanted)


async def test_what_the_line_cannot_hold_is_a_dead_letter_once() -> None:
    async with simulator() as sim:
        asked = {"account": "acme", "email": "a@shop.io", "metric": "Opened Email"}
        body = BytesIO(orjson.dumps(asked | {"properties": {"x": "y" * 2_000_000}}))
        async with sim.session.post(f"{sim.url}/sim/engage", data=body) as reply:
            (huge,) = (await reply.json())["events"]
        line = polling(sim)
        wanted = await engage(sim)
        async with line.life():
            assert await line.until(has(line, wanted))
            await turns(line, sim, 3)
        (letter,) = line.world.dead_letters
        assert (letter["event_id"], letter["reason"], letter["stage"]) == (huge, "too_large", "poll")
        assert (letter["origin"]["line"], letter["origin"]["offset"]) == ("engagement", -1)
        assert ids(line.world) == wanted


async def one_kill(at: int) -> bool:
    async with simulator() as sim:
        line = polling(sim, 0.02, timeout_s=0.5)
        wanted = await engage(sim, 3) + await engage(sim, 2, "Clicked Email")
        fuse = Fuse(at)
        async with line.life(fuse):
            await line.until(has(line, wanted))
            wanted += await engage(sim, 4)
            survived = await line.until(has(line, wanted))
        async with line.life():
            assert await line.until(has(line, wanted))
        assert ids(line.world) == sorted(wanted)
        return not survived


async def test_a_kill_at_any_boundary_neither_loses_nor_doubles() -> None:
    """Before and after each transaction and each call."""
    killed = await asyncio.gather(*(one_kill(at) for at in range(1, 30, 2)))
    assert sum(killed) > 8


def test_a_metric_is_asked_for_since_its_newest_event_else_since_the_last_turn() -> None:
    now = int(time())
    assert polled.since(None, None, now) == now
    assert polled.since(None, b"%d" % (now - 60), now) == now - 60
    assert polled.since(b"%d" % (now - 3600), b"%d" % (now - 60), now) == now - 3600
    # what a webhook brought before feedback's memory would go to Segment twice
    assert polled.since(b"5", None, now) == now - polled.REACH_S


def test_the_cursor_never_goes_back_nor_into_the_future() -> None:
    items = [Item("a", 50, {}), Item("b", 900, {})]
    assert polled.moved(70, items, 100) == 100
    assert polled.moved(70, items[:1], 100) == 70
    assert polled.moved(70, [], 100) == 70


def test_what_is_not_asked_for_again_is_forgotten() -> None:
    cursor = 10_000
    times = (1, cursor - polled.OVERLAP_S - 1, cursor - polled.OVERLAP_S, cursor)
    keys = sorted(polled.taken_key("M1", Item(f"e{at}", at, {})) for at in times)
    gone = list(polled.past(((key, b"") for key in keys), "M1", cursor))
    assert gone == keys[:2]
