"""The guard: a stream gone wrong pauses its lane before a list is emptied."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from streams.deliver.lists import brake as brakes
from streams.deliver.lists.brake import LaneBrake
from streams.deliver.lists.guard import HOUR_MS, Brake, Guard
from streams.engine.errors import Away
from tests.deliver.line import FREE, Line, simulator
from tests.deliver.test_consent import at_klaviyo, consent, now, say
from tests.deliver.test_lists import change, ends, make_list, make_profiles, members


@dataclass
class Hand(Brake):
    """Pauses the line of a test."""

    pauses: dict[str, str] = field(default_factory=dict)
    lane: str = "lists"
    released: int | None = None
    pulled: int = 0

    def pull(self, why: str) -> None:
        self.pulled += 1
        self.pauses[self.lane] = why

    def released_at(self) -> int | None:
        return self.released


def test_up_to_a_share_of_a_list_may_leave_within_an_hour() -> None:
    hand = Hand()
    guard = Guard(0.2, brake=hand)
    now = 1_000_000_000_000
    for n in range(100):
        assert guard.verdict("L", now + n) == "go"
        guard.leaves("L", now + n)
    assert guard.verdict("L", now + 200) == "size"
    guard.sized("L", 500, now + 200)
    for n in range(20):
        assert guard.verdict("L", now + 300 + n) == "go"
        guard.leaves("L", now + 300 + n)
    assert guard.verdict("L", now + 400) == "stop"
    assert "120 of 600" in hand.pauses["lists"]
    assert guard.verdict("M", now + 400) == "go"
    assert guard.verdict("L", now + HOUR_MS + 350) == "go"
    hand.released = now + 500
    assert guard.verdict("L", now + 600) == "go"


def test_what_left_is_not_forgotten_by_a_restart() -> None:
    now = 1_000_000_000_000
    first = Guard(0.2)
    for n in range(110):
        first.leaves("L/1", now + n)
    first.sized("L/1", 400, now + 200)
    state = first.unsaved("lists")
    assert list(state) == [b"g/lists/L/1"]
    assert first.unsaved("lists") == {}
    second = Guard(0.2, brake=Hand())
    second.restore(state.items())
    assert second.verdict("L/1", now + 300) == "stop"
    assert second.verdict("L/1", now + HOUR_MS + 300) == "go"
    assert second.unsaved("lists") == {}


async def test_a_restart_does_not_open_the_gate_anew() -> None:
    async with simulator(budgets=FREE) as sim:
        await make_list(sim)
        await make_profiles(sim, 300)
        line = Line(sim.url, timeout_s=5)
        line.put(*(change(n, n) for n in range(300)))
        line.put(*(change(1000 + n, n, "list_remove") for n in range(95)))
        await line.drain()
        hand = Hand()
        line.brake, line.pauses = lambda lane: hand if lane == "lists" else Brake(), hand.pauses
        line.put(*(change(2000 + n, n, "list_remove") for n in range(95, 195)))
        async with line.life():
            await line.until(lambda: bool(line.pauses))
            await line.until(lambda: len(line.world.last()) >= 400)
            assert len(await members(sim)) == 200


async def test_a_removal_of_too_many_pauses_the_lane_and_goes_on_when_let() -> None:
    async with simulator(budgets=FREE) as sim:
        await make_list(sim)
        await make_profiles(sim, 600)
        hand = Hand()
        line = Line(sim.url, timeout_s=5, brake=lambda lane: hand if lane == "lists" else Brake())
        line.pauses = hand.pauses
        line.put(*(change(n, n) for n in range(600)))
        await line.drain()
        line.put(*(change(1000 + n, n, "list_remove") for n in range(100)))
        await line.drain()  # before the next one the list's size is asked for
        line.put(*(change(1000 + n, n, "list_remove") for n in range(100, 400)))
        async with line.life():
            await line.until(lambda: bool(line.pauses))
            await line.until(lambda: len(line.world.last()) >= 720)
            assert len(await members(sim)) == 480
            hand.released = now()
            line.pauses.clear()
            await line.until(line.all_ended)
        assert len(await members(sim)) == 200
        assert set(ends(line).values()) == {("delivered", "accepted")}


async def test_farewells_to_a_list_are_guarded_too() -> None:
    async with simulator(budgets=FREE) as sim:
        list_id = await make_list(sim)
        for n in range(130):
            await at_klaviyo(sim, "create", f"u{n}@shop.io", list_id)
        hand = Hand(lane="consent")
        line = Line(sim.url, timeout_s=5, brake=lambda lane: hand if lane == "consent" else Brake())
        line.pauses = hand.pauses
        line.put(*(say(n, n, "unsubscribe", {"list": "News"}) for n in range(130)))
        async with line.life():
            await line.until(lambda: bool(line.pauses))
            await line.until(lambda: len(line.world.last()) >= 100)
            assert len(await members(sim)) == 30
        assert set((await consent(sim)).values()) == {"SUBSCRIBED"}


async def test_the_brake_writes_the_pause_and_watches_for_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Any] = []

    def pause(_config: Any, names: list[str], why: str) -> None:
        written.append((names, why))
        if len(written) == 1:
            raise Away("no broker")

    monkeypatch.setattr("streams.engine.lanes.pause", pause)
    monkeypatch.setattr(brakes, "AGAIN_S", 0.01)
    monkeypatch.setattr(brakes, "LOOK_S", 0.01)
    paused: list[str] = []
    made = LaneBrake(None, "acme", "lists", lambda: paused[0] if paused else None)  # type: ignore[arg-type]
    made.pull("guard: too many")
    made.pull("guard: too many")
    async with asyncio.timeout(5):
        while len(written) < 2:
            await asyncio.sleep(0.005)
        assert written[1] == (["acme/lists"], "guard: too many")
        assert made.released_at() is None
        paused.append("guard: too many")
        await asyncio.sleep(0.05)
        assert made.released_at() is None
        paused.clear()
        while made.released_at() is None:
            await asyncio.sleep(0.005)
    await made.close()
