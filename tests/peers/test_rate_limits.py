"""What users of other pipelines see of Klaviyo's limits, and are not to see here."""

from __future__ import annotations

from typing import Any

import pytest

from streams.config.sections import Lists
from streams.deliver.sending.planner import MOST_FAILING
from streams.deliver.sending.settling import REFUSALS
from streams.klaviyo.budgets import LIST_CREATE, Limit
from tests.deliver.line import FREE, WIDE, Line, operation, simulator
from tests.deliver.test_lists import calls, change, make_list

TIGHT = {"event/single": (40, 120), "event/bulk": (4, 12)}
"""Calls in each burst and each steady window of these seconds:"""
BURST_S, STEADY_S = 0.5, 3.0


def statuses(requests: list[dict[str, Any]]) -> list[int]:
    return [request["status"] for request in requests]


async def test_a_backlog_meets_no_429() -> None:
    """Elsewhere 429 and 409 came so often that the manual got a chapter on them."""
    budgets = {name: {"burst": burst, "steady": steady} for name, (burst, steady) in TIGHT.items()}
    windows = {"burst": BURST_S, "steady": STEADY_S}
    limits = WIDE | {
        name: Limit(burst, steady, burst_s=BURST_S, steady_s=STEADY_S)
        for name, (burst, steady) in TIGHT.items()
    }
    async with simulator(budgets=FREE | budgets, windows_s=windows) as sim:
        line = Line(sim.url, limits=limits, timeout_s=5)
        line.put(*(operation(n, n % 900) for n in range(6000)))
        async with line.life():
            assert await line.until(line.all_ended, 60)
        assert len(await sim.events()) == 6000
        assert 429 not in statuses(await sim.requests("/api/event"))


@pytest.mark.parametrize("count", [1, 60])
async def test_retry_after_is_waited_out_and_a_502_is_tried_again(count: int) -> None:
    """Elsewhere retries did not follow Retry-After, and a 502 was deliberately not retried."""
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        await sim.fault({"path": "/api/event*"}, {"status": 429, "headers": {"Retry-After": "2"}}, times=1)
        await sim.fault({"path": "/api/event*"}, {"status": 502, "body": "<html>"}, times=1)
        line.put(*(operation(n) for n in range(count)))
        await line.drain()
        requests = await sim.requests("/api/event")
        first = statuses(requests).index(429)
        budget = requests[first]["path"]
        same = [request["at"] for request in requests[first + 1 :] if request["path"] == budget]
        assert all(at - requests[first]["at"] >= 2.0 for at in same)
        assert 502 in statuses(requests)
        assert len(await sim.events()) == count


async def test_a_limit_that_nobody_wrote_down_costs_no_row() -> None:
    """Elsewhere limits were enforced that stood nowhere: lists a day, ten confirmations a call."""
    async with simulator(budgets=FREE | {"list/write": {"burst": 1, "steady": 2}},
                         windows_s={"burst": 0.3, "steady": 1}) as sim:  # fmt: skip
        line = Line(sim.url, lists=Lists(create=True))
        line.put(*(change(n, n, to=f"List {n}") for n in range(6)))
        await line.drain(30)
        assert len((await sim.get("lists"))["data"]) == 6
        assert {outcome for outcome, _ in line.world.last().values()} == {"delivered"}


@pytest.mark.parametrize("count", [1, 60])
async def test_a_403_that_is_really_throttling_costs_no_row(count: int) -> None:
    """Elsewhere Cloudflare's challenge is taken for a refusal, and the rows are lost."""
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url, tries=1)
        await sim.fault({"path": "/api/*"}, {"cloudflare": True}, times=4)
        line.put(*(operation(n) for n in range(count)))
        await line.drain(60)
        assert not line.world.dead_letters
        assert len(await sim.events()) == count
        assert statuses(await sim.requests("/api/event")).count(403) == 4


async def test_many_lists_at_once_need_few_calls() -> None:
    """Elsewhere one list a batch broke the throughput, and batch sizes had to be tuned by hand."""
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url, timeout_s=5, lists=Lists(create=True), pauses={"lists": "until they all wait"})
        line.put(*(change(n, n // 12, to=f"List {n % 12}") for n in range(360)))
        async with line.life() as slot:
            assert await line.until(lambda: slot.read_up_to("klaviyo.lists") == 360)
            line.pauses.clear()
            assert await line.until(line.all_ended, 30)
        assert [len(row["emails"]) for row in (await sim.get("lists"))["data"]] == [30] * 12
        assert len(await calls(sim, "POST", "/relationships/profiles")) <= 36
        assert len(line.world.dead_letters) < REFUSALS


async def test_with_the_days_lists_made_the_others_wait_for_the_next_and_hold_up_nobody() -> None:
    """Elsewhere the limit of lists a day is met with 429s until the rows are given up."""
    day = {"list/write": {"burst": 10, "steady": 150, "daily": 3}}
    limits = WIDE | {LIST_CREATE: Limit(10, 2, steady_s=86_400.0, at_once=2)}
    async with simulator(budgets=FREE | day) as sim:
        await make_list(sim)
        line = Line(sim.url, lists=Lists(create=True), limits=limits)
        line.put(*(change(n, n, to=f"List {n}") for n in range(MOST_FAILING + 6)))
        async with line.life():
            assert await line.until(lambda: len(line.world.outcomes) == 2, 60)
            line.put(*(change(1000 + n, 1000 + n) for n in range(50)))
            assert await line.until(lambda: len(line.world.outcomes) == 52, 60)
        assert len((await sim.get("lists"))["data"]) == 3
        assert 429 not in statuses(await sim.requests())
        assert not line.world.dead_letters
