"""Import jobs that end otherwise than they should: no row counts as imported that may not be."""

from __future__ import annotations

from typing import Any

import pytest

from streams.klaviyo.budgets import LIMITS, PROFILE_IMPORT, Limit
from tests.deliver.line import FREE, Line, Sim, simulator
from tests.deliver.test_conflicts import update
from tests.deliver.test_importing import JOBS, jobs_made, profiles

NONE_READ = {"status": 200, "body": {"data": [], "links": {"self": "", "next": None}}}


def odd(sim: Sim) -> Line:
    """A line that makes a job of its backlog, and sends what goes singly then without waiting."""
    return Line(sim.url, timeout_s=5, limits={**LIMITS, PROFILE_IMPORT: Limit(300, 18_000, at_once=20)})


def backlog(line: Line, count: int = 250) -> None:
    line.put(*(update(n, n, first_name="A") for n in range(count)))


def all_delivered(line: Line) -> bool:
    return {outcome for outcome, _ in line.world.last().values()} == {"delivered"}


async def all_go_singly(sim: Sim) -> Line:
    """A backlog becomes a job, and each of its rows is there in the end."""
    line = odd(sim)
    backlog(line)
    await line.drain()
    assert len(await profiles(sim)) == 250
    assert await jobs_made(sim)
    assert all_delivered(line)
    return line


async def test_failed_rows_that_no_error_names_go_singly() -> None:
    """The job counts failed rows, and its errors are gone or not there yet: which rows, nobody knows."""
    async with simulator(budgets=FREE) as sim:
        rows = [
            {"email": f"u{n}@shop.io", "code": "invalid", "detail": "No", "late": True} for n in range(250)
        ]
        await sim.fault({"path": JOBS, "method": "POST"}, {"error_rows": rows})
        await sim.fault({"path": f"{JOBS}/*/import-errors"}, NONE_READ)
        await all_go_singly(sim)


@pytest.mark.parametrize("status", ["cancelled", "canceled", "failed", "expired"])
async def test_a_job_that_will_never_be_complete_goes_singly(status: str) -> None:
    async with simulator(budgets=FREE) as sim:
        said: dict[str, Any] = {"status": status, "total_count": 1}
        job = {"data": {"type": "profile-bulk-import-job", "id": "J", "attributes": said}}
        await sim.fault({"path": f"{JOBS}/*", "method": "GET"}, {"status": 200, "body": job})
        await all_go_singly(sim)


@pytest.mark.parametrize("data", [None, {}, {"type": "profile-bulk-import-job", "id": 7}, []])
async def test_a_job_without_an_id_ends_no_process_and_goes_singly(data: Any) -> None:
    async with simulator(budgets=FREE) as sim:
        await sim.fault({"path": JOBS, "method": "POST"}, {"status": 202, "body": {"data": data}})
        line = await all_go_singly(sim)
        assert not [key for key in line.world.store if key.startswith(b"j/")]


async def test_pages_of_errors_that_lead_to_themselves_come_to_an_end() -> None:
    async with simulator(budgets=FREE) as sim:
        rows = [{"email": "u249@shop.io", "code": "invalid", "detail": "No", "late": True}]
        await sim.fault({"path": JOBS, "method": "POST"}, {"error_rows": rows})
        page = {"data": [], "links": {"next": "https://a.klaviyo.com/api/x?page[cursor]=same"}}
        await sim.fault({"path": f"{JOBS}/*/import-errors"}, {"status": 200, "body": page})
        line = odd(sim)
        backlog(line)
        await line.drain()
        assert all_delivered(line)


async def test_of_a_profile_that_fails_only_the_bad_update_is_a_dead_letter() -> None:
    async with simulator(budgets=FREE) as sim:
        rows = [{"email": "u7@shop.io", "code": "invalid", "detail": "No", "late": True}]
        await sim.fault({"path": JOBS, "method": "POST"}, {"error_rows": rows})
        line = odd(sim)
        backlog(line)
        line.put(update(500, 7, last_name="B"), update(501, 7, title="C"))
        await line.drain()
        found = (await profiles(sim))["u7@shop.io"]
        assert (found["first_name"], found["last_name"], found["title"]) == ("A", "B", "C")
        assert all_delivered(line)
