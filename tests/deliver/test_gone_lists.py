"""A list that was deleted at Klaviyo costs what is for it, and neither the lane nor other lists."""

from __future__ import annotations

from time import time
from typing import Any

import pytest

from streams.deliver.lists.lookups import KnownList, list_form, list_key
from tests.deliver.line import FREE, Line, Sim, simulator
from tests.deliver.test_consent import consent, say
from tests.deliver.test_lists import change, ends, make_list, members


def knowing(sim: Sim, name: str) -> Line:
    """A line that was shown this list a while ago."""
    line = Line(sim.url, probe_s=60)
    known = KnownList("GONE", double_opt_in=False)
    line.world.store[list_key(name)] = list_form(known, int(time() * 1000) - 60_000)
    return line


@pytest.mark.parametrize("kind", ["list_add", "list_remove"])
async def test_others_are_added_to_other_lists_meanwhile(kind: str) -> None:
    async with simulator(budgets=FREE) as sim:
        await make_list(sim)
        line = knowing(sim, "Old")
        line.put(*(change(n, n, kind, to="Old") for n in range(3)), *(change(n, n) for n in range(10, 20)))
        await line.drain()
        assert len(await members(sim)) == 10
        assert {letter["event_id"] for letter in line.world.dead_letters} == {"m0", "m1", "m2"}
        assert "has no list 'Old'" in line.world.dead_letters[0]["detail"]


async def test_one_that_was_made_anew_under_its_name_is_found() -> None:
    async with simulator(budgets=FREE) as sim:
        await make_list(sim)
        line = knowing(sim, "News")
        line.put(*(change(n, n) for n in range(10)))
        await line.drain()
        assert len(await members(sim)) == 10
        assert set(ends(line).values()) == {("delivered", "accepted")}


@pytest.mark.parametrize("kind", ["subscribe", "unsubscribe"])
async def test_whoever_agrees_or_leaves_otherwise_is_not_kept_waiting(kind: str) -> None:
    async with simulator(budgets=FREE) as sim:
        line = knowing(sim, "Old")
        to: dict[str, Any] = {"list": "Old"}
        line.put(*(say(n, n, kind, to) for n in range(3)), *(say(n, n) for n in range(10, 20)))
        await line.drain()
        found = await consent(sim)
        assert [found[f"u{n}@shop.io"] for n in range(10, 20)] == ["SUBSCRIBED"] * 10
        assert {letter["event_id"] for letter in line.world.dead_letters} == {"m0", "m1", "m2"}
