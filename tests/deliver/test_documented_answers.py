"""Every documented status and what happens: the page is what the code does, over HTTP, too."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any

import orjson
import pytest

from streams.config.sections import Lists
from streams.deliver.sending.settling import REFUSALS
from tests.deliver.answer_cases import ALONE, BULK, CASES, Case, error
from tests.deliver.answers import BESIDE, COMMAND, PAGE, outcome, page
from tests.deliver.line import Line, operation, simulator
from tests.deliver.test_lists import make_list
from tests.references import missing

DOCUMENTED = (200, 201, 202, 204, 400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 429, 500, 502, 503, 504)


def test_the_page_is_what_the_tests_say() -> None:
    assert PAGE.read_text() == page(), f"deploy/answers.md is stale: run `{COMMAND}`"


def test_no_documented_status_is_missing() -> None:
    assert {str(status) for status in DOCUMENTED} <= {case.name[:3] for case in CASES}


def test_each_test_that_the_page_names_is_there() -> None:
    assert [test for _, _, test in BESIDE if missing(f"tests/{test}")] == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_answer_loses_a_row(case: Case) -> None:
    """Each row of a call ends, goes again, or stays with its lane: exactly one of these."""
    for request in (ALONE, BULK):
        judged, _ = outcome(case, request)
        ended = [end.row.offset for end in judged.settled]
        again = [row.offset for each in judged.again for row in each.group.rows]
        after = [each.group.after for each in judged.again]
        assert not any(after)
        stays = [row.offset for row in judged.dissolved]
        assert sorted(ended + again + stays) == list(range(4 if request.bulk else 1))


async def observed(case: Case, count: int, *, more: bool) -> tuple[int, list[str], bool]:
    """After one such answer: events at Klaviyo, reasons of dead letters, whether there was a second call."""
    async with simulator() as sim:
        do: dict[str, Any] = (case.bulk if count > 1 and case.bulk else None) or case.do
        line = Line(sim.url, timeout_s=0.4 if "delay_s" in do else 10, probe_s=0.1)
        await sim.fault({"path": "/api/event*"}, do, times=1)
        line.put(*(operation(n) for n in range(count)))
        await line.drain(30)
        reasons = [letter["reason"] for letter in line.world.dead_letters]
        until = monotonic() + 5
        while more and len(await sim.requests("/api/event")) < 2 and monotonic() < until:
            await asyncio.sleep(0.05)  # a call that is answered late is listed when it is answered
        return len(await sim.events()), reasons, len(await sim.requests("/api/event")) > 1


async def compared(case: Case, count: int) -> str:
    """How what is observed differs from what the code says of the case; empty if it does not."""
    judged, _ = outcome(case, BULK if count > 1 else ALONE)
    dead = [str(end.reason) for end in judged.settled if end.outcome == "dead_lettered"]
    goes_on = bool(judged.again or judged.dissolved)
    # the simulator says so, and records nothing
    taken = 200 <= case.do.get("status", 0) < 300 and not goes_on and not dead
    expected = 0 if taken else count - len(dead), dead, goes_on
    found = await observed(case, count, more=goes_on)
    return "" if found == expected else f"{case.name} ({count}): {found}, not {expected}"


@pytest.mark.parametrize("count", [1, 60])
async def test_each_answer_does_over_http_what_the_page_says(count: int) -> None:
    gate = asyncio.Semaphore(8)

    async def one(case: Case) -> str:
        async with gate:
            return await compared(case, count)

    differences = await asyncio.gather(*(one(case) for case in CASES))
    assert [each for each in differences if each] == []


async def test_a_question_whose_answer_is_cut_off_is_asked_again() -> None:
    async with simulator() as sim:
        await make_list(sim, "VIP")
        line = Line(sim.url, lists=Lists(create=True))
        cut = {"status": 200, "body": '{"data": [{"type": "li'}
        await sim.fault({"method": "GET", "path": "/api/lists"}, cut, times=1)
        line.put(operation(1, kind="list_add", payload={"list": "VIP"}))
        await line.drain()
        assert not line.world.dead_letters
        assert [row["name"] for row in (await sim.get("lists"))["data"]] == ["VIP"]
        assert [outcome for outcome, _ in line.world.last().values()] == ["delivered"]


async def test_rows_that_are_all_refused_stop_the_lane() -> None:
    """A wrong version refuses everything: that must not empty the lane into the dead letters."""
    async with simulator() as sim:
        line = Line(sim.url, probe_s=0.2)
        refused = {"status": 400, "body": orjson.dumps(error()).decode()}
        await sim.fault({"path": "/api/event*"}, refused)
        line.put(*(operation(n) for n in range(200)))
        async with line.life():
            position = line.world.positions
            assert await line.until(lambda: "stopped" in (position.get("klaviyo.events") or {}), 60)
            assert len(line.world.dead_letters) >= REFUSALS
            await sim.heal()
            assert await line.until(line.all_ended)
        dead = len(line.world.dead_letters)
        assert REFUSALS <= dead < 100
        assert len(await sim.events()) == 200 - dead
