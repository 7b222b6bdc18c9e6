"""The guard of farewells that name no list: those who were subscribed count, in an account within an hour."""

from typing import Any

import pytest

from streams.config.sections import Lists
from streams.deliver.lists.guard import EVERYTHING, HOUR_MS, Brake, Guard
from tests.deliver.line import FREE, Line, Sim, simulator
from tests.deliver.test_consent import at_klaviyo, consent, now, say
from tests.deliver.test_lists import calls, ends, make_list
from tests.deliver.test_lists_guard import Hand

MOST = 5


async def subscribers(sim: Sim, count: int) -> None:
    for n in range(count):
        await at_klaviyo(sim, "create", f"u{n}@shop.io")


def guarded(sim: Sim, hand: Hand, most: int = MOST) -> Line:
    line = Line(sim.url, timeout_s=5, lists=Lists(guard_unsubscribes=most), pauses=hand.pauses)
    line.brake = lambda lane: hand if lane == "consent" else Brake()
    return line


def farewell(n: int, who: int, kind: str = "unsubscribe", **over: Any) -> dict[str, Any]:
    return say(n, who, kind, {} if kind == "unsubscribe" else {"channels": None}, **over)


def test_so_many_may_leave_within_an_hour_and_a_restart_forgets_nobody() -> None:
    hand, at = Hand(lane="consent"), 1_000_000_000_000
    first = Guard(most=MOST)
    for n in range(MOST):
        assert first.verdict(EVERYTHING, at + n) == "go"
        first.leaves(EVERYTHING, at + n)
    second = Guard(most=MOST, brake=hand)
    second.restore(first.unsaved("consent").items())
    assert second.verdict(EVERYTHING, at + 100) == "stop"
    assert "lists.guard_unsubscribes allows 5" in hand.pauses["consent"]
    assert second.verdict("L", at + 100) == "go"
    hand.released = at + 200
    assert second.verdict(EVERYTHING, at + 300) == "go"
    hand.released = None
    assert second.verdict(EVERYTHING, at + HOUR_MS + 60_000) == "go"


@pytest.mark.parametrize("kind", ["unsubscribe", "suppress"])
async def test_too_many_farewells_pause_the_lane_and_go_on_when_let(kind: str) -> None:
    async with simulator(budgets=FREE) as sim:
        await subscribers(sim, 12)
        hand = Hand(lane="consent")
        line = guarded(sim, hand)
        line.put(*(farewell(n, n, kind) for n in range(12)))
        async with line.life():
            await line.until(lambda: bool(line.pauses))
            await line.until(lambda: len(line.world.last()) == MOST)
        line.pauses.clear()
        async with line.life():  # a restart lets nobody else through
            await line.until(lambda: bool(line.pauses))
            assert len(line.world.last()) == MOST
            hand.released = now()
            line.pauses.clear()
            await line.until(line.all_ended)
        assert set(ends(line).values()) == {("delivered", "accepted")}


async def test_who_was_not_subscribed_or_is_told_of_again_does_not_count() -> None:
    async with simulator(budgets=FREE) as sim:
        await subscribers(sim, MOST)
        hand = Hand(lane="consent")
        line = guarded(sim, hand)
        at = now()
        line.put(*(say(100 + n, 100 + n, "observed", {"status": "unsubscribed"}) for n in range(9)))
        line.put(*(farewell(200 + n, 200 + n) for n in range(9)))
        for again in range(3):
            line.put(*(farewell(10 * again + n, n, time=at - 5000 + again) for n in range(MOST)))
            line.put(*(farewell(n, n, time=at - 5000) for n in range(MOST)))
            await line.drain()
        assert hand.pulled == 0
        found = await consent(sim)
        assert [found[f"u{n}@shop.io"] for n in range(MOST)] == ["UNSUBSCRIBED"] * MOST


async def test_farewells_to_one_list_are_counted_by_list_alone() -> None:
    async with simulator(budgets=FREE) as sim:
        list_id = await make_list(sim)
        for n in range(12):
            await at_klaviyo(sim, "create", f"u{n}@shop.io", list_id)
        hand = Hand(lane="consent")
        line = guarded(sim, hand)
        line.put(*(say(n, n, "unsubscribe", {"list": "News"}) for n in range(12)))
        await line.drain()
        assert hand.pulled == 0


async def test_without_a_number_nobody_is_asked_about_and_all_may_go() -> None:
    async with simulator(budgets=FREE) as sim:
        await subscribers(sim, 12)
        hand = Hand(lane="consent")
        line = guarded(sim, hand, most=0)
        line.put(*(farewell(n, n) for n in range(12)))
        await line.drain()
        assert hand.pulled == 0
        assert not await calls(sim, "GET", "/api/profiles")
        assert set((await consent(sim)).values()) == {"UNSUBSCRIBED"}
