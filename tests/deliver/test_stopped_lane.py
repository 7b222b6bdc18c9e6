"""A lane that stopped: what ends the stop, what it may not forget meanwhile, and what must not end the process."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from streams.deliver.settling import REFUSALS
from tests.deliver.line import FREE, Line, operation, simulator

FORBIDDEN: dict[str, Any] = {"status": 403}
SUBSCRIBE = {"path": "/api/profile-subscription-bulk-create-jobs"}


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
            assert await line.until(line.all_ended, 5)
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
