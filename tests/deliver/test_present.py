"""What somebody else set at Klaviyo is not set once more: it is asked for, once a profile."""

import asyncio
from typing import Any
from urllib.parse import unquote

import pytest

from streams.simulators.klaviyo import reads
from tests.deliver.fake_slot import Fuse
from tests.deliver.line import FREE, Line, Sim, make_profile, simulator
from tests.deliver.test_conflicts import update
from tests.deliver.test_importing import jobs_made, paced


def first(n: int, who: int = 1, value: str = "ad", **more: Any) -> dict[str, Any]:
    patch = {"set_once": {"first_source": value, "plan": "free"}, **more.pop("patch", {})}
    return update(n, who, patch=patch, **more)


async def sources(sim: Sim) -> dict[str, Any]:
    return {p["email"]: p["properties"].get("first_source") for p in (await sim.get("profiles"))["data"]}


async def looks(sim: Sim) -> list[str]:
    return [unquote(r["query"]) for r in await sim.requests("/api/profiles") if r["method"] == "GET"]


@pytest.mark.parametrize(
    "known", [{"email": "u1@shop.io"}, {"external_id": "user1"}, {"external_id": "user1", "email": "a@b.io"}]
)
async def test_what_klaviyo_has_stays_and_is_asked_for_once(known: dict[str, str]) -> None:
    """Found by whichever identifier Klaviyo would go by; what it lacks is set."""
    async with simulator(budgets=FREE) as sim:
        await make_profile(sim, **known, properties={"first_source": "classic"})
        line = Line(sim.url)
        line.put(first(1, first_name="Ann"))
        await line.drain()
        (profile,) = (await sim.get("profiles"))["data"]
        assert profile["properties"] == {"first_source": "classic", "plan": "free"}
        assert profile["first_name"] == "Ann"
        asked = len(await looks(sim))
        line.put(first(2, last_name="Lee"), first(3, value="mail"))
        await line.drain()
        assert len(await looks(sim)) == asked <= 2
        line.put(update(4, properties={"first_source": "said"}), first(5, value="again"))
        await line.drain()
        assert await sources(sim) == {"u1@shop.io": "said"}
        assert {o for o, _ in line.world.last().values()} <= {"delivered", "unchanged"}


async def test_nothing_is_asked_for_people_without_it() -> None:
    async with simulator(budgets=FREE) as sim:
        line = paced(sim.url)
        line.put(*(update(n, n, first_name="A", properties={"a": n}) for n in range(300)))
        await line.drain()
        assert not await looks(sim)


async def test_a_backlog_asks_for_a_hundred_at_a_time() -> None:
    """Those whom no address finds are looked for by user id."""
    async with simulator(budgets=FREE, job_delay_s=0.1) as sim:
        for n in range(0, 400, 8):
            await make_profile(sim, email=f"u{n}@shop.io", properties={"first_source": "classic"})
        line = paced(sim.url)
        line.put(*(first(n, n) for n in range(400)), *(first(400 + n, n, "late") for n in range(400)))
        await line.drain(40)
        found = await sources(sim)
        assert {found[f"u{n}@shop.io"] for n in range(0, 400, 8)} == {"classic"}
        assert {found[f"u{n}@shop.io"] for n in range(400) if n % 8} == {"ad"}
        assert len(found) == 400
        pages = [look for look in await looks(sim) if '","' in look]
        assert sum(look.count('","') + 1 for look in pages) > 600
        assert 7 <= len(pages) <= 20, pages
        assert await jobs_made(sim)


async def test_whom_a_short_page_leaves_out_is_asked_about_again(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = reads.page_size
    monkeypatch.setattr(reads, "page_size", lambda *given: min(7, whole(*given)))
    async with simulator(budgets=FREE) as sim:
        for n in range(60, 90):
            await make_profile(sim, email=f"u{n}@shop.io", properties={"first_source": "classic"})
        line = paced(sim.url)
        line.put(*(first(n, n) for n in range(100)))
        await line.drain(40)
        found = await sources(sim)
        assert {n: found[f"u{n}@shop.io"] for n in range(100)} == {
            n: "classic" if 60 <= n < 90 else "ad" for n in range(100)
        }


async def test_while_klaviyo_can_not_be_read_nothing_is_set() -> None:
    async with simulator(budgets=FREE) as sim:
        await make_profile(sim, email="u1@shop.io", properties={"first_source": "classic"})
        await sim.fault({"method": "GET", "path": "/api/profiles"}, {"status": 503}, times=3)
        line = Line(sim.url)
        line.put(first(1), first(2, 2), update(3, 3, first_name="Ann"))
        await line.drain()
        assert await sources(sim) == {"u1@shop.io": "classic", "u2@shop.io": "ad", "u3@shop.io": None}
        await sim.fault({"method": "GET", "path": "/api/profiles"}, {"status": 403, "body": {"errors": []}})
        line.put(first(4, 4))
        async with line.life():
            async with asyncio.timeout(10):
                while line.world.positions["klaviyo.profiles"].get("stopped") is None:
                    await asyncio.sleep(0.01)
            assert "u4@shop.io" not in await sources(sim)
            await sim.heal()
            assert await line.until(line.all_ended)
        assert (await sources(sim))["u4@shop.io"] == "ad"


async def test_an_append_beside_it_is_no_reason_to_read_it_back() -> None:
    async with simulator(budgets=FREE) as sim:
        await make_profile(sim, email="u1@shop.io", properties={"tags": ["x"]})
        line = Line(sim.url)
        line.put(first(1, patch={"append": {"tags": "x"}}))
        await line.drain()
        (profile,) = (await sim.get("profiles"))["data"]
        assert profile["properties"]["tags"] == ["x", "x"]
        assert len(await looks(sim)) == 1


async def one_kill(at: int) -> bool:
    async with simulator(budgets=FREE) as sim:
        await make_profile(sim, email="u1@shop.io", properties={"first_source": "classic"})
        line = Line(sim.url, timeout_s=0.3)
        line.put(first(1, first_name="A"), first(2, first_name="B"), first(3, 2), first(4, 2, "late"))
        async with line.life(Fuse(at)):
            survived = await line.until(line.all_ended)
        await line.drain()
        assert await sources(sim) == {"u1@shop.io": "classic", "u2@shop.io": "ad"}
        names = {p["email"]: p.get("first_name") for p in (await sim.get("profiles"))["data"]}
        assert names["u1@shop.io"] == "B"
        assert not line.world.dead_letters
        return not survived


async def test_it_is_set_once_whenever_the_process_dies() -> None:
    killed = await asyncio.gather(*(one_kill(at) for at in range(1, 16)))
    assert sum(killed) > 8
