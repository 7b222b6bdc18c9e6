"""The profiles lane under a backlog: import jobs, their errors, and what outlives the process."""

import asyncio
from typing import Any

from streams.klaviyo.budgets import LIMITS
from tests.deliver.fake_slot import Fuse
from tests.deliver.line import FREE, Line, Sim, make_profile, operation, simulator
from tests.deliver.test_conflicts import update

JOBS = "/api/profile-bulk-import-jobs"


def paced(url: str, timeout_s: float = 5) -> Line:
    """A line with Klaviyo's budgets: single calls cannot keep up with a backlog."""
    return Line(url, timeout_s=timeout_s, limits=dict(LIMITS))


async def jobs_made(sim: Sim) -> list[dict[str, Any]]:
    return [request for request in await sim.requests(JOBS) if request["method"] == "POST"]


async def profiles(sim: Sim) -> dict[str, dict[str, Any]]:
    return {profile["email"]: profile for profile in (await sim.get("profiles"))["data"]}


async def test_a_backlog_goes_by_job_folded_and_once() -> None:
    async with simulator(budgets=FREE, job_delay_s=0.3) as sim:
        line = paced(sim.url)
        line.put(*(update(n, n % 1000, first_name=f"A{n}") for n in range(2000)))
        await line.drain(40)
        assert {p["first_name"] for p in (await profiles(sim)).values()} == {
            f"A{n}" for n in range(1000, 2000)
        }
        assert 1 <= len(await jobs_made(sim)) <= 8
        assert {o for o, _ in line.world.last().values()} <= {"delivered", "unchanged"}
        assert not [key for key in line.world.store if key[:2] in (b"i/", b"j/")]
        line.put(*(update(5000 + n, n, first_name=f"A{1000 + n}") for n in range(150)))
        await line.drain()
        assert {line.world.last()[operation(5000 + n, n, "profile")["op_id"]] for n in range(150)} == {
            ("unchanged", "same_values")
        }


async def test_what_a_job_cannot_carry_goes_by_itself_in_order() -> None:
    async with simulator(budgets=FREE) as sim:
        line = paced(sim.url)
        for n in range(200):
            line.put(update(n, n, first_name="A", properties={"tags": []}))
        line.put(update(300, 7, first_name=None), update(301, 8, patch={"append": {"tags": "x"}}))
        line.put(update(302, 8, patch={"unset": ["tags"]}), update(303, 9, properties={"a": None}))
        line.put(update(304, 8, last_name="B"), update(305, 7, last_name="C"))
        await line.drain()
        found = await profiles(sim)
        assert (found["u7@shop.io"]["first_name"], found["u7@shop.io"]["last_name"]) == (None, "C")
        assert "tags" not in found["u8@shop.io"]["properties"]
        assert found["u8@shop.io"]["last_name"] == "B"
        assert found["u9@shop.io"]["properties"]["a"] is None
        for job in await jobs_made(sim):
            assert "null" not in str(job["body"]).replace("None", "null")
        assert {o for o, _ in line.world.last().values()} == {"delivered"}


async def test_every_page_of_errors_is_read_and_says_why() -> None:
    async with simulator(budgets=FREE) as sim:
        rows = [
            {"email": f"u{n}@shop.io", "code": "invalid", "detail": f"No {n}", "late": True}
            for n in range(0, 500, 2)
        ]
        await sim.fault({"path": JOBS, "method": "POST"}, {"error_rows": rows}, rate=1.0)
        line = paced(sim.url)
        line.put(*(update(n, n, first_name="A") for n in range(500)))
        await line.drain()
        letters = {letter["event_id"]: letter for letter in line.world.dead_letters}
        singly = {r["body"]["data"]["attributes"]["email"] for r in await sim.requests("profile-import")}
        failed = [n for n in range(0, 500, 2) if f"u{n}@shop.io" not in singly]
        assert len(failed) > 100
        assert set(letters) == {f"m{n}" for n in failed}
        assert all(f"No {n} " in letters[f"m{n}"]["detail"] for n in failed)
        assert all(f'No {n}"' in letters[f"m{n}"]["reply"]["body"] for n in failed)
        assert len(await profiles(sim)) == 500 - len(failed)


async def test_a_row_of_two_profiles_is_mended_and_not_a_dead_letter() -> None:
    async with simulator(budgets=FREE) as sim:
        await make_profile(sim, external_id="user3")
        await make_profile(sim, email="u3@shop.io")
        line = paced(sim.url)
        line.put(*(update(n, n, first_name="A") for n in range(200)))
        await line.drain()
        assert {o for o, _ in line.world.last().values()} == {"delivered"}
        assert len(await profiles(sim)) == 200
        assert (await profiles(sim))["u3@shop.io"]["first_name"] == "A"


async def test_a_cancelled_job_and_one_that_is_gone_go_singly() -> None:
    async with simulator(budgets=FREE, job_delay_s=5) as sim:
        cancelled = {"data": {"type": "profile-bulk-import-job", "id": "J", "attributes": {}}}
        cancelled["data"]["attributes"] = {"status": "cancelled", "total_count": 1}
        await sim.fault({"path": f"{JOBS}/*", "method": "GET"}, {"status": 200, "body": cancelled}, times=1)
        await sim.fault(
            {"path": f"{JOBS}/*", "method": "GET"},
            {
                "status": 404,
                "body": {"errors": [{"id": "1", "code": "not_found", "title": "", "detail": ""}]},
            },
            rate=1.0,
        )
        line = paced(sim.url)
        line.put(*(update(n, n, first_name="A") for n in range(160)))
        await line.drain()
        assert len(await profiles(sim)) == 160
        assert {o for o, _ in line.world.last().values()} == {"delivered"}
        assert len(await jobs_made(sim)) >= 1
        assert len(await sim.requests("profile-import")) >= 128
        assert not [key for key in line.world.store if key.startswith(b"j/")]


async def test_an_open_job_outlives_the_process_and_its_people_wait() -> None:
    async with simulator(budgets=FREE, job_delay_s=1.5) as sim:
        line = paced(sim.url)
        line.put(*(update(n, n, first_name="Old") for n in range(300)))
        async with line.life():
            await line.until(lambda: any(key.startswith(b"j/") for key in line.world.store))
        line.put(update(900, 5, first_name="New"))
        before = len(await jobs_made(sim))
        await line.drain()
        assert (await profiles(sim))["u5@shop.io"]["first_name"] == "New"
        assert len(await profiles(sim)) == 300
        jobs = [job["body"]["data"]["attributes"]["profiles"]["data"] for job in await jobs_made(sim)]
        assert before >= 1
        assert sum(map(len, jobs)) + len(await sim.requests("profile-import")) <= 301 + 30
        assert len(line.world.last()) == 301
        assert not [key for key in line.world.store if key[:2] in (b"i/", b"j/")]


async def one_kill(at: int) -> bool:
    async with simulator(budgets=FREE, job_delay_s=0.1) as sim:
        line = paced(sim.url, 2)
        line.put(*(update(n, n % 150, first_name=f"A{n}") for n in range(300)))
        async with line.life(Fuse(at)):
            survived = await line.until(line.all_ended, 60)
        await line.drain(60)
        assert {p["first_name"] for p in (await profiles(sim)).values()} == {f"A{n}" for n in range(150, 300)}
        assert len(line.world.last()) == 300
        assert not line.world.dead_letters
        assert not [key for key in line.world.store if key[:2] in (b"i/", b"j/")]
        return not survived


async def test_the_last_update_counts_whenever_the_process_dies() -> None:
    killed = await asyncio.gather(*(one_kill(at) for at in range(1, 30, 2)))
    assert sum(killed) > 5
