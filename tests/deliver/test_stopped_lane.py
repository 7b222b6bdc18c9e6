"""A lane that stopped: what ends the stop, what it must not forget, and what must not end the process."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from streams.deliver.sending.settling import REFUSALS
from tests.deliver.line import FREE, Line, operation, simulator
from tests.deliver.test_appends import append, tags
from tests.deliver.test_conflicts import update
from tests.deliver.test_consent import now
from tests.deliver.test_importing import JOBS, paced
from tests.deliver.test_spending import told_to_wait

FORBIDDEN: dict[str, Any] = {"status": 403}
SUBSCRIBE = {"path": "/api/profile-subscription-bulk-create-jobs"}


def said(line: Line, lane: str) -> dict[str, Any]:
    """What its position says of a lane."""
    return line.world.positions.get(f"klaviyo.{lane}", {})


def subscription(n: int) -> dict[str, Any]:
    return operation(n, kind="subscribe", payload={"channels": {"email": ["marketing"]}})


async def test_a_stop_ends_though_each_row_has_a_question_before_its_call() -> None:
    """Who is to be subscribed is looked up first: that the look-up goes well must not begin all anew."""
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url, probe_s=0.1)
        await sim.fault(SUBSCRIBE, FORBIDDEN)
        line.put(*(subscription(n) for n in range(3)))
        async with line.life():
            async with asyncio.timeout(10):
                while not await sim.requests(SUBSCRIBE["path"]):
                    await asyncio.sleep(0.02)
            await sim.heal()
            assert await line.until(line.all_ended)
        assert {outcome for outcome, _ in line.world.last().values()} == {"delivered"}


@pytest.mark.parametrize("status", [500, 429])
async def test_after_many_refusals_an_answer_without_a_verdict_ends_nothing(status: int) -> None:
    async with simulator() as sim:
        line = Line(sim.url, probe_s=0.1)
        body = {"errors": [{"id": "1", "code": "invalid", "title": "Invalid.", "detail": "no"}]}
        refused = {"status": 400, "body": orjson.dumps(body).decode()}
        await sim.fault({"path": "/api/event*"}, refused)
        line.put(*(operation(n) for n in range(60)))
        async with line.life():
            assert await line.until(lambda: len(line.world.dead_letters) >= REFUSALS)
            await sim.heal()
            await sim.fault({"path": "/api/event*"}, {"status": status}, times=1)
            assert await line.until(line.all_ended)


async def test_an_open_job_is_looked_at_again_though_no_other_row_waits() -> None:
    async with simulator(budgets=FREE, job_delay_s=0.2) as sim:
        line = paced(sim.url)
        line.probe_s = 0.1
        await sim.fault({"path": f"{JOBS}/*", "method": "GET"}, FORBIDDEN, times=3)
        line.put(*(update(n, n, first_name="A") for n in range(250)))
        async with line.life():
            assert await line.until(line.all_ended)
        assert {outcome for outcome, _ in line.world.last().values()} == {"delivered"}


@pytest.mark.parametrize(
    "after", [{"status": 401}, {"status": 429, "headers": {"Retry-After": "60"}}], ids=str
)
async def test_what_is_in_doubt_stays_so_when_its_next_try_tells_nothing(after: dict[str, Any]) -> None:
    """A key is changed by a restart: an append that Klaviyo took before must not be done twice then."""
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        line.put(append(1, "x"))
        await line.drain()
        await sim.fault({"path": "/api/profile-import"}, {"reset": "after"}, times=1)
        await sim.fault({"path": "/api/profiles*"}, after)
        line.put(append(2, "y"))
        async with line.life():
            assert await line.until(lambda: told_to_wait(line) or "stopped" in said(line, "profiles"))
        assert [each for each in await sim.requests("/api/profiles") if each["method"] == "GET"]
        await sim.heal()
        line.world.store = {k: v for k, v in line.world.store.items() if not k.startswith(b"b/")}
        await line.drain()
        assert await tags(sim) == ["x", "y"]


async def test_the_position_says_why_and_since_when_a_lane_stands_until_it_has_sent_again() -> None:
    """Whoever asks reads it from Kafka: through restarts, and with no process at all."""
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url, probe_s=0.05)
        events = {"path": "/api/event*"}
        await sim.fault(events, {"status": 401})
        line.put(*(operation(n) for n in range(3)))

        def stopped() -> Any:
            return said(line, "events").get("stopped")

        async with line.life():
            assert await line.until(lambda: stopped() is not None)
        why, since = stopped()
        assert "401" in why
        assert 0 <= now() - since < 20_000
        await sim.heal()
        await sim.fault(events, {"status": 403})
        async with line.life():
            assert stopped() == [why, since]
            assert await line.until(lambda: "403" in stopped()[0])
            assert stopped()[1] == since
            await sim.heal()
            assert await line.until(line.all_ended)
        assert line.world.positions["klaviyo.events"] == {"next": 3, "done": []}
        commits = line.world.commits
        line.put(operation(9))
        await line.drain()
        assert stopped() is None
        assert line.world.commits > commits
