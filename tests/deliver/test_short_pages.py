"""Pages shorter than asked for: whom the first one does not have is asked about again, not taken for new."""

from __future__ import annotations

from time import time
from typing import Any

import pytest

from streams.simulators.klaviyo import reads
from tests.deliver.line import FREE, Line, simulator
from tests.deliver.test_consent import at_klaviyo, consent, say
from tests.deliver.test_lists import calls, change, make_list, make_profiles, members

PEOPLE = 7


@pytest.fixture(autouse=True)
def _two_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = reads.page_size
    monkeypatch.setattr(reads, "page_size", lambda *given: min(2, whole(*given)))


@pytest.mark.parametrize("age_ms", [10_000, 600_000])
async def test_nobody_is_subscribed_against_a_farewell_on_a_later_page(age_ms: int) -> None:
    async with simulator(budgets=FREE) as sim:
        for n in range(0, PEOPLE, 2):
            await at_klaviyo(sim, "delete", f"u{n}@shop.io")
        line = Line(sim.url)
        line.put(*(say(n, n, time=int(time() * 1000) - age_ms) for n in range(PEOPLE)))
        await line.drain()
        said = await consent(sim)
        assert {n: said[f"u{n}@shop.io"] == "SUBSCRIBED" for n in range(PEOPLE)} == {
            n: bool(n % 2) for n in range(PEOPLE)
        }


async def test_whoever_leaves_a_list_and_is_on_a_later_page_leaves_it() -> None:
    async with simulator(budgets=FREE) as sim:
        list_id = await make_list(sim)
        line = Line(sim.url)
        to: dict[str, Any] = {"list": list_id}
        line.put(*(say(n, n, payload=to) for n in range(PEOPLE)))
        await line.drain()
        assert len(await members(sim)) == PEOPLE
        line.put(*(say(100 + n, n, "unsubscribe", to) for n in range(PEOPLE)))
        await line.drain()
        assert await members(sim) == set()


async def test_whom_klaviyo_knows_is_not_made_again() -> None:
    async with simulator(budgets=FREE) as sim:
        await make_list(sim)
        await make_profiles(sim, PEOPLE)
        line = Line(sim.url)
        line.put(*(change(n, n) for n in range(PEOPLE + 2)))
        await line.drain()
        assert len(await members(sim)) == PEOPLE + 2
        assert len(await calls(sim, "POST", "profile-import")) == 2
