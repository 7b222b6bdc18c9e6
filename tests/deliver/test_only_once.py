"""What may be said only once: marks that one operation holds, properties set where there are none."""

from typing import Any

import pytest

from streams.deliver.profiles.traits import Update, doubted, fold, joined
from tests.deliver.fake_slot import Fuse
from tests.deliver.line import FREE, Line, operation, simulator
from tests.deliver.test_conflicts import update
from tests.deliver.test_lists import make_list

EVENT = {"metric": "Placed Order", "properties": {}}


def once(n: int, mark: str = "order-1", kind: str = "event", **payload: Any) -> dict[str, Any]:
    return operation(n, 1, kind, payload={**(payload or EVENT), "once": mark})


def ends(line: Line) -> dict[str, tuple[str, str]]:
    return {o["event_id"]: (o["outcome"], o["reason"]) for o in line.world.outcomes}


async def test_the_first_operation_holds_the_mark_in_this_life_and_the_next() -> None:
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        line.put(once(1), once(2), once(3, "order-2"))
        await line.drain()
        line.put(once(4), once(3, "order-2"))
        await line.drain()
        assert ends(line)["m1"] == ("delivered", "accepted")
        assert ends(line)["m2"] == ends(line)["m4"] == ("unchanged", "once")
        assert ends(line)["m3"] == ("duplicate", "sent_before")
        assert len(await sim.events()) == 2
        assert line.world.store[b"o/acme/order-1"].decode() == operation(1)["op_id"]


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 6])
async def test_whoever_dies_the_mark_has_one_holder(at: int) -> None:
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url, timeout_s=0.3)
        line.put(once(1), once(2))
        async with line.life(Fuse(at)):
            await line.until(line.all_ended)
        await line.drain()
        assert len(await sim.events()) == 1
        assert sorted(outcome for outcome, _ in line.world.last().values()) == ["delivered", "unchanged"]


async def test_a_mark_is_free_again_when_its_holder_is_a_dead_letter() -> None:
    async with simulator(budgets=FREE) as sim:
        await sim.fault(
            {"path": "/api/events"},
            {
                "status": 400,
                "body": {"errors": [{"id": "1", "code": "invalid", "title": "", "detail": "no"}]},
            },
            times=1,
        )
        line = Line(sim.url)
        line.put(once(1))
        await line.drain()
        assert ends(line)["m1"] == ("dead_lettered", "rejected")
        line.put(once(2))
        await line.drain()
        assert ends(line)["m2"] == ("delivered", "accepted")


async def test_marks_hold_in_every_lane() -> None:
    async with simulator(budgets=FREE) as sim:
        await make_list(sim)
        line = Line(sim.url)
        line.put(
            once(1, "p", "profile", attributes={"first_name": "A"}),
            once(2, "p", "profile", attributes={"first_name": "B"}),
            once(3, "l", "list_add", list="News"),
            once(4, "l", "list_add", list="News"),
            once(5, "c", "unsubscribe", channels={"email": ["marketing"]}),
            once(6, "c", "unsubscribe", channels={"email": ["marketing"]}),
        )
        await line.drain()
        assert [ends(line)[f"m{n}"] for n in (2, 4, 6)] == [("unchanged", "once")] * 3
        (profile,) = (await sim.get("profiles"))["data"]
        assert profile["first_name"] == "A"


async def test_set_once_sets_where_nothing_was_and_never_again() -> None:
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        line.put(
            update(1, patch={"set_once": {"first_seen": "mon", "plan": "free"}}, properties={"plan": "pro"})
        )
        await line.drain()
        line.put(update(2, patch={"set_once": {"first_seen": "tue", "colour": "red"}}))
        await line.drain()
        line.put(update(3, patch={"set_once": {"first_seen": "wed"}}))
        await line.drain()
        (profile,) = (await sim.get("profiles"))["data"]
        assert profile["properties"]["first_seen"] == "mon"
        assert profile["properties"]["colour"] == "red"
        assert profile["properties"]["plan"] == "pro"
        assert ends(line)["m3"] == ("unchanged", "same_values")
        for request in await sim.requests("profile-import"):
            assert "set_once" not in str(request["body"])


def test_what_is_set_once_yields_to_a_value_of_before_but_not_to_one_that_was_unset() -> None:
    who = {"email": "a@b.io"}
    first = fold({}, [Update(who, {"properties": {"a": 1}}, 5), Update(who, {}, 6, once={"a": 2, "b": 3})])
    assert first.attributes == {"properties": {"a": 1, "b": 3}}
    second = fold(first.state, [Update(who, {}, 7, unset=("a",)), Update(who, {}, 8, once={"a": 9})])
    assert second.attributes == {"properties": {"a": 9}}
    assert second.unset == ()


def test_after_a_merge_only_the_times_of_what_both_had_are_known() -> None:
    one = {"first_name": ["x", 5], "title": ["t", 1], "#email": ["e", 1]}
    other = {"first_name": ["y", 9], "image": ["i", 2]}
    assert joined(one, other) == {"first_name": ["?", 9], "title": ["t", 1], "image": ["i", 2]}
    assert doubted({"a": ["x", 1], "b": ["y", 2], "c": ["", 3]}, {"b"}) == {
        "a": ["?", 1], "b": ["y", 2], "c": ["", 3],
    }  # fmt: skip
