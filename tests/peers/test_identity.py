"""Whom an event belongs to, where other pipelines refuse the person or make an orphan."""

from __future__ import annotations

import pytest

from streams.route.engagement import engagement_call
from streams.segment.envelope import Profile
from tests.deliver.line import FREE, Line, make_profile, operation, simulator
from tests.deliver.test_conflicts import update
from tests.deliver.test_importing import profiles
from tests.deliver.test_lists import change, make_list, members
from tests.identify.world import World
from tests.route.sample import EVERYTHING, PETER, route
from tests.route.test_engagement import BACK, call, config, engagement


async def test_identifiers_of_two_profiles_are_one_person_in_the_end() -> None:
    """Elsewhere an upsert answers 409 for good, and nobody merges."""
    async with simulator(budgets=FREE) as sim:
        await make_profile(sim, email="u1@shop.io")
        await make_profile(sim, external_id="user1")
        line = Line(sim.url)
        line.put(update(1, 1, title="T"))
        await line.drain()
        assert not line.world.dead_letters
        ((email, profile),) = (await profiles(sim)).items()
        assert (email, profile["external_id"], profile["title"]) == ("u1@shop.io", "user1", "T")


def test_engagement_of_somebody_unknown_makes_no_orphan() -> None:
    """Elsewhere the address arrives as anonymous id, and none of the emails are part of the profile."""
    found = call(engagement_call(config(), engagement("opened_email"), PETER, BACK))
    assert found["userId"] == PETER["user_id"]
    assert "@" not in str(found.get("anonymousId"))
    nobody: Profile = {**PETER, "user_id": None, "anonymous_ids": []}
    assert engagement_call(config(), engagement("opened_email"), nobody, BACK) == "no_identifier"


@pytest.mark.parametrize("known", ["email", "phone", "user_id", "anonymous_ids"])
async def test_any_identifier_is_enough_for_an_event(known: str) -> None:
    """Elsewhere it was the address only at first; the others came late, and anonymous people are refused."""
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        event = operation(1)
        all_of_them = event["profile"] | {"phone": "+12025550101"}
        none = {"email": None, "phone": None, "user_id": None, "anonymous_ids": []}
        event["profile"] = {"id": "p1"} | none | {known: all_of_them[known]}
        line.put(event)
        await line.drain()
        assert list(line.world.last().values()) == [("delivered", "accepted")]
        assert len(await sim.events()) == 1


@pytest.mark.parametrize("phone", ["12345", "+1555", "call me", "+999999999999999"])
async def test_a_bad_phone_costs_the_phone_not_the_person(phone: str) -> None:
    """Elsewhere one bad phone refuses the whole message, even with a good address."""
    message = {"type": "identify", "traits": {"email": "peter@example.com", "phone": phone, "plan": "pro"}}
    assert len(route(EVERYTHING, message).operations) == 1
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        bad = update(1, 1, title="T")
        bad["profile"] |= {"phone": phone}
        line.put(bad)
        await line.drain()
        assert list(line.world.last().values()) == [("delivered", "field_ignored:phone_number")]
        assert (await profiles(sim))["u1@shop.io"]["title"] == "T"


async def test_a_list_keeps_the_traits_of_whom_it_meets() -> None:
    """Elsewhere the attributes are lost when the person is known already."""
    async with simulator(budgets=FREE) as sim:
        await make_list(sim)
        await make_profile(sim, email="u1@shop.io", title="before")
        line = Line(sim.url)
        line.put(change(1, 1), update(2, 1, first_name="Ada"))
        await line.drain()
        assert await members(sim) == {"u1@shop.io"}
        profile = (await profiles(sim))["u1@shop.io"]
        assert (profile["first_name"], profile["title"]) == ("Ada", "before")


async def test_an_older_trait_that_comes_late_does_not_win() -> None:
    """Elsewhere the order of delivery is not guaranteed."""
    world = World()
    for at in (3, 1, 2):
        world.sees(user_id="u1", anonymous_id="a1", time=at)
    assert world.owner("u:u1") is not None
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        newer, older = update(1, 1, title="new"), update(2, 1, title="old")
        older["time"] = newer["time"] - 60_000
        line.put(newer)
        await line.drain()
        line.put(older)
        await line.drain()
        assert (await profiles(sim))["u1@shop.io"]["title"] == "new"
