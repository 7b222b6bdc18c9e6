"""Odd answers and deaths at random: all is done once all the same, in order, and nothing is left over."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from random import Random
from typing import Any

import pytest

from tests.deliver.fake_slot import Fuse
from tests.deliver.line import FREE, Line, Sim, operation, simulator
from tests.deliver.test_appends import append
from tests.deliver.test_conflicts import update
from tests.deliver.test_lists import change, make_list, members

PEOPLE = 6
FAULTS: list[dict[str, Any]] = [
    {"reset": "after"},
    {"reset": "before"},
    {"status": 401},
    {"status": 403},
    {"status": 404},
    {"status": 429, "headers": {"Retry-After": "1"}},
    {"status": 502},
    {"status": 503},
    {"status": 200, "body": "<html>"},
    {"cloudflare": True},
    {"delay_s": 0.5},
]
PATHS = ["/api/*", "/api/event*", "/api/profile*", "/api/profile-import", "/api/lists*"]


def some(random: Random) -> list[dict[str, Any]]:
    """Appends, updates and events of a few people."""
    made = []
    for n in range(40):
        who = random.randrange(PEOPLE)
        kinds = (append(n, f"t{n}", who=who), update(n, who, title=f"T{n}"), operation(n, who))
        made.append(random.choices(kinds, (4, 2, 4))[0])
    return made


async def lives(line: Line, sim: Sim, random: Random) -> None:
    """A few short lives with odd answers, then a good one."""
    for _ in range(4):
        for _ in range(random.randrange(1, 3)):
            match = {"path": random.choice(PATHS)}
            await sim.fault(match, random.choice(FAULTS), times=random.randrange(1, 4))
        async with line.life(Fuse(random.randrange(5, 60))):
            with contextlib.suppress(TimeoutError):
                await line.until(line.all_ended, random.choice([0.6, 1.5]))
    await sim.heal()
    await line.drain(30)


async def wrong(seed: int) -> list[Any]:
    """What is not as it should be after such a history."""
    random = Random(seed)
    mode = random.choice(["global", "per_request"])
    async with simulator(budgets=FREE, unique_id_mode=mode) as sim:
        await make_list(sim)
        line = Line(sim.url, timeout_s=0.3, probe_s=0.1, tries=50)
        made = some(random)
        line.put(*made, *(change(1000 + who, who) for who in range(PEOPLE)))
        await lives(line, sim, random)
        found: list[Any] = [letter["detail"] for letter in line.world.dead_letters]
        found += [key for key in line.world.store if key[:2] in (b"i/", b"j/")]
        events = Counter(event["unique_id"] for event in await sim.events())
        wanted = Counter(each["op_id"] for each in made if each["kind"] == "event")
        found += [(events, wanted)] if events != wanted else []
        for profile in (await sim.get("profiles"))["data"]:
            own = [each for each in made if each["profile"]["email"] == profile["email"]]
            tags = [f"t{each['origin']['offset']}" for each in own if b'"append"' in each["payload"]]
            had = profile["properties"].get("tags") or []
            had = had if isinstance(had, list) else [had]
            found += [(tags, had)] if tags != had else []
        return found if len(await members(sim)) == PEOPLE else [*found, "members are missing"]


@pytest.mark.parametrize("seed", range(8))
async def test_all_is_done_once_whatever_the_answers_and_whenever_it_dies(seed: int) -> None:
    some_seeds = range(seed * 3, seed * 3 + 3)
    assert await asyncio.gather(*map(wrong, some_seeds)) == [[], [], []]
