"""What is known of two profiles that become one: the newest word of either counts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.deliver import notices
from streams.deliver.lists import lookups
from streams.deliver.profiles.traits import Update, fold, joined
from tests.deliver.line import FREE, Line, operation, simulator
from tests.deliver.test_admin import WINNER, merge, person
from tests.deliver.test_conflicts import update
from tests.deliver.test_consent import consent, now, say
from tests.deliver.test_lists import change, ends, make_list, members
from tests.deliver.test_only_once import EVENT

PEOPLE = ("p1", "p2", "p3", "p4")
words = st.tuples(st.sampled_from(PEOPLE), st.booleans())
unions = st.tuples(st.sampled_from(PEOPLE), st.sampled_from(PEOPLE))


def into(profile_id: str) -> Any:
    return {"id": profile_id, "email": None, "phone": None, "user_id": None, "anonymous_ids": []}


def top(state: dict[bytes, bytes], who: str) -> str:
    found = notices.winner(who, state.get)
    return found["id"] if found else who


@given(st.permutations(range(12)), st.lists(st.one_of(words, unions), max_size=12))
def test_the_newest_word_about_a_membership_counts_whoever_it_was_said_of(
    times: list[int], steps: list[Any]
) -> None:
    state: dict[bytes, bytes] = {}
    people = {who: {who} for who in PEOPLE}
    said: list[tuple[int, str, bool]] = []
    for time, (who, what) in zip(times, steps, strict=False):
        if isinstance(what, str):
            winner, loser = top(state, who), top(state, what)
            if winner != loser:
                state |= notices.merged(winner, loser, into(winner), 1, state.get)
                both = people[winner] | people[loser]
                people |= dict.fromkeys(both, both)
            continue
        said.append((time, who, what))
        name = top(state, who)
        before = lookups.membership("L", name, state.get)
        if before is None or time >= before[1]:
            state[lookups.member_key("L", name)] = lookups.member_form(time, on=what)
    for who in PEOPLE:
        newest = max((word for word in said if word[1] in people[who]), default=None)
        found = lookups.membership("L", top(state, who), state.get)
        assert found == (None if newest is None else (newest[2], newest[0]))


def test_in_a_tie_the_leave_counts() -> None:
    state = notices.merged("p1", "p2", into("p1"), 1, {}.get)
    state[lookups.member_key("L", "p1")] = lookups.member_form(5, on=True)
    state[lookups.member_key("L", "p2")] = lookups.member_form(5, on=False)
    assert lookups.membership("L", "p1", state.get) == (False, 5)


traits = st.dictionaries(st.sampled_from(["title", "first_name"]), st.sampled_from(["x", "y"]), min_size=1)


@given(
    st.lists(st.tuples(traits, st.integers(0, 9)), max_size=4), st.lists(st.tuples(traits, st.integers(0, 9)))
)
def test_an_older_value_never_overwrites_a_newer_one_of_either(one: list[Any], other: list[Any]) -> None:
    who = {"email": "a@b.io"}
    states = [fold({}, [Update(who, *each) for each in side]).state if side else {} for side in (one, other)]
    state = joined(*states)
    for name in ("title", "first_name"):
        newest = max((time for values, time in one + other if name in values), default=None)
        if newest is None:
            assert name not in state
            continue
        assert state[name][1] == newest
        assert not fold(state, [Update(who, {name: "z"}, newest - 1)]).attributes
        assert fold(state, [Update(who, {name: "z"}, newest)]).attributes == {name: "z"}


@pytest.mark.parametrize("late", [False, True])
async def test_a_stale_add_does_not_undo_what_the_loser_left(late: bool) -> None:
    async with simulator(budgets=FREE) as sim:
        await make_list(sim)
        line = Line(sim.url)
        loser = person(2, email="u1@shop.io")
        line.put(change(1, 2, "list_remove", time=5000, profile=loser))
        await line.drain()
        line.put(merge(2, WINNER, loser))
        await line.drain()
        line.put(change(3, 2 if late else 1, time=4000, profile=loser if late else WINNER))
        await line.drain()
        assert ends(line)["m3"] == ("unchanged", "superseded")
        assert await members(sim) == set()
        line.put(change(4, 1, time=6000, profile=WINNER))
        await line.drain()
        assert await members(sim) == {"u1@shop.io"}


@pytest.mark.parametrize("first", [1, 2])
async def test_what_there_may_be_once_for_a_person_follows_a_merge(first: int) -> None:
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        loser = person(2, email="u1@shop.io")
        people = {1: WINNER, 2: loser}

        def welcome(n: int, who: int) -> dict[str, Any]:
            mark = f"ever:p{who}\x1fevent\x1fWelcome\x1f\x1f0"
            return operation(n, profile=people[who], payload={**EVENT, "once": mark})

        line.put(welcome(1, first))
        await line.drain()
        line.put(merge(2, WINNER, loser))
        await line.drain()
        line.put(welcome(3, 3 - first), welcome(4, first))
        await line.drain()
        assert ends(line)["m3"] == ends(line)["m4"] == ("unchanged", "once")
        assert len(await sim.events()) == 1


async def test_an_update_of_the_winner_older_than_the_losers_is_not_sent() -> None:
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        loser = person(2, email="u1@shop.io")
        line.put(update(1, 2, first_name="New") | {"profile": loser, "time": 5000})
        await line.drain()
        line.put(merge(2, WINNER, loser))
        await line.drain()
        line.put(update(3, 1, first_name="Old") | {"profile": WINNER, "time": 4000})
        await line.drain()
        (profile,) = (await sim.get("profiles"))["data"]
        assert profile["first_name"] == "New"


async def test_an_unsubscribe_of_the_loser_outlives_the_merge() -> None:
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        loser = person(2, email="u1@shop.io")
        line.put(say(1, 2, "unsubscribe", profile=loser))
        await line.drain()
        line.put(merge(2, WINNER, loser))
        await line.drain()
        line.put(
            say(3, 1, time=now() - 60_000, profile=WINNER), say(4, 2, time=now() - 50_000, profile=loser)
        )
        await line.drain()
        assert ends(line)["m3"] == ends(line)["m4"] == ("refused", "consent")
        assert set((await consent(sim)).values()) == {"UNSUBSCRIBED"}
