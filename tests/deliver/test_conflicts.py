"""One person who is two profiles at Klaviyo: merged towards the address, and the update goes through."""

import asyncio
from typing import Any

from streams.deliver.profiles.conflicts import (
    ROUNDS,
    Conflict,
    directed,
    foreign,
    holders,
    pair_form,
    pair_key,
)
from streams.deliver.profiles.family import Profiles
from streams.deliver.row import Group, Row
from streams.klaviyo import replies
from streams.klaviyo.replies import Reply
from tests.deliver.fake_slot import Fuse
from tests.deliver.line import FREE, Line, Sim, make_profile, operation, simulator


def update(n: int, who: int = 1, **attributes: Any) -> dict[str, Any]:
    patch = attributes.pop("patch", {})
    return operation(n, who, "profile", payload={"attributes": attributes, "patch": patch})


async def merges(sim: Sim) -> set[tuple[str, str]]:
    """Destination and source of each merge sent."""
    found = [request["body"]["data"] for request in await sim.requests("/api/profile-merge")]
    return {(data["id"], data["relationships"]["profiles"]["data"][0]["id"]) for data in found}


async def test_two_profiles_become_the_one_with_the_address_and_the_update_is_theirs() -> None:
    async with simulator(budgets=FREE, job_delay_s=0.7) as sim:
        by_name = await make_profile(sim, external_id="user1", title="Dr")
        by_email = await make_profile(sim, email="u1@shop.io")
        line = Line(sim.url)
        line.put(update(1, first_name="Ann"), update(2, first_name="Anna"), update(3, 2, first_name="Bo"))
        await line.drain()
        profiles = {p["id"]: p for p in (await sim.get("profiles"))["data"]}
        assert len(profiles) == 2
        assert profiles[by_email]["first_name"] == "Anna"
        assert profiles[by_email]["external_id"] == "user1"
        assert await merges(sim) == {(by_email, by_name)}
        assert len(await sim.requests("/api/profile-merge")) == 1
        assert {o for o, _ in line.world.last().values()} == {"delivered"}
        assert line.world.store[b"k/p1"].decode() == by_email
        assert not [key for key in line.world.store if key.startswith(b"i/")]


async def test_somebody_else_with_the_same_number_is_nobody_to_merge_with() -> None:
    """Families share a number."""
    async with simulator(budgets=FREE) as sim:
        await make_profile(sim, email="mother@shop.io", phone_number="+12025550123")
        await make_profile(sim, email="u1@shop.io")
        line = Line(sim.url)
        op = update(1, first_name="Ann")
        op["profile"]["phone"] = "+12025550123"
        line.put(op)
        await line.drain()
        profiles = (await sim.get("profiles"))["data"]
        found = {each["email"]: (each["phone_number"], each.get("first_name")) for each in profiles}
        assert found == {"mother@shop.io": ("+12025550123", None), "u1@shop.io": (None, "Ann")}
        assert await merges(sim) == set()
        assert list(line.world.last().values()) == [("delivered", "field_ignored:phone_number")]


def test_whose_a_number_is_an_address_or_a_user_id_tells() -> None:
    who = {"email": "Ann@shop.io", "phone_number": "+12025550123"}
    assert foreign({"email": "mother@shop.io"}, who)
    assert not foreign({"email": "ann@shop.io", "external_id": "anybody"}, who)
    assert not foreign({"email": None, "external_id": None}, who)
    assert foreign({"external_id": "u2"}, {"external_id": "u1"})
    assert not foreign({"external_id": "u2"}, {"external_id": "u1"}, {"external_id": "u2"})


async def test_three_profiles_become_one() -> None:
    async with simulator(budgets=FREE) as sim:
        await make_profile(sim, external_id="user1")
        await make_profile(sim, phone_number="+12025550123")
        by_email = await make_profile(sim, email="u1@shop.io")
        line = Line(sim.url)
        op = update(1, first_name="Ann")
        op["profile"]["phone"] = "+12025550123"
        line.put(op)
        await line.drain()
        assert [p["id"] for p in (await sim.get("profiles"))["data"]] == [by_email]
        assert {into for into, _ in await merges(sim)} == {by_email}


async def one_kill(at: int) -> bool:
    async with simulator(budgets=FREE, job_delay_s=0.2) as sim:
        by_name = await make_profile(sim, external_id="user1")
        by_email = await make_profile(sim, email="u1@shop.io")
        line = Line(sim.url, timeout_s=0.3)
        line.put(update(1, first_name="Ann"), update(2, last_name="Lee"))
        async with line.life(Fuse(at)):
            survived = await line.until(line.all_ended)
        await line.drain()
        (profile,) = (await sim.get("profiles"))["data"]
        found = profile
        assert (profile["id"], found["first_name"], found["last_name"]) == (by_email, "Ann", "Lee")
        assert await merges(sim) == {(by_email, by_name)}
        assert not line.world.dead_letters
        assert len(line.world.last()) == 2
        assert not [key for key in line.world.store if key.startswith(b"i/")]
        return not survived


async def test_the_update_is_neither_missing_nor_the_merge_reversed_whenever_the_process_dies() -> None:
    killed = await asyncio.gather(*(one_kill(at) for at in range(1, 24)))
    assert sum(killed) > 12


async def test_a_merge_in_doubt_whose_source_is_gone_does_no_harm() -> None:
    async with simulator(budgets=FREE) as sim:
        await make_profile(sim, external_id="user1")
        by_email = await make_profile(sim, email="u1@shop.io")
        await sim.fault({"path": "/api/profile-merge"}, {"reset": "after"}, times=1)
        line = Line(sim.url, timeout_s=0.5)
        line.put(update(1, first_name="Ann"))
        await line.drain()
        (profile,) = (await sim.get("profiles"))["data"]
        assert (profile["id"], profile["first_name"]) == (by_email, "Ann")


def test_a_merge_never_turns_round() -> None:
    state = {pair_key("A", "B"): pair_form("A", 1)}
    assert directed("B", "A", state.get) == ("A", "B")
    assert directed("A", "B", state.get) == ("A", "B")
    assert directed("B", "C", state.get) == ("B", "C")


def test_whoever_holds_the_address_stays() -> None:
    assert holders({"external_id": "X", "email": "E"}) == ("E", "X")
    assert holders({"external_id": "X", "phone_number": "P"}) == ("P", "X")
    assert holders({"external_id": "E", "email": "E"}) is None
    assert holders({}) is None


def test_what_never_becomes_one_is_a_dead_letter_that_names_both() -> None:
    family = Profiles()
    op: Any = update(1, first_name="Ann")
    row = Row("klaviyo.profiles", 0, 0, op, b"")
    row.ready = family.prepare(op, op["time"]).ready  # type: ignore[union-attr]
    group = Group("g", [row], bulk=False)
    state: dict[bytes, bytes] = {}
    conflict = Reply(replies.Conflict("01X", "HTTP 409: exists"), 409, "{}")
    for _ in range(ROUNDS):
        family.request(group, state.get)
        learned = family.refused(group, conflict, 1)
        assert learned is not None
        assert learned.stay
        step: Conflict = group.step
        for name in ("email", "external_id"):
            assert step.request(state.get) is not None
            data = [{"type": "profile", "id": f"01{name}", "attributes": {}}]
            learned = family.learned(group, Reply(replies.Accepted(data=data), 200, ""), 1)
        while (asked := step.request(state.get)) is not None:
            assert asked.path == "/api/profile-merge"
            state |= {key: value for key, value in family.intends(group, 1).items() if value}
            learned = family.learned(group, Reply(replies.Accepted(), 201, ""), 1)
        assert learned.wait_s > 0
    learned = family.refused(group, conflict, 1)
    assert learned is not None
    (end,) = learned.ended
    assert end.reason == "profile_conflict"
    assert "01email and 01external_id" in end.detail
