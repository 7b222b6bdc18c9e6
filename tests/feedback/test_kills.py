"""kill -9 anywhere: Segment has every call once, in order, and everything has an end."""

import asyncio
from typing import Any

import pytest

from streams.feedback import calls
from streams.segment.client import Reply
from tests.deliver.fake_slot import Fuse
from tests.feedback.line import AWAY, OK, REFUSED, STOPPED, Line, call

CALLS = 24
POISON = {3, 15}


@pytest.fixture(autouse=True)
def _small_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "MAX_BATCH_CALLS", 10)


def poisoned(messages: list[dict[str, Any]]) -> Reply:
    return REFUSED if any(message.get("poison") for message in messages) else OK


def full() -> Line:
    """More than two requests, two calls that are refused, one too large, one unreadable."""
    line = Line()
    line.put(*(call(n, {"poison": True} if n in POISON else {}) for n in range(CALLS)))
    line.put(call(CALLS, {"large": "x" * 40_000}))
    line.world.append("segment.outbound", b"junk")
    line.segment.answer = poisoned
    return line


def all_arrived(line: Line) -> None:
    assert line.segment.kept == [f"klaviyo-e{n}" for n in range(CALLS) if n not in POISON]
    reasons = {(letter["event_id"], letter["reason"]) for letter in line.world.dead_letters}
    assert reasons == {("e3", "rejected"), ("e15", "rejected"), ("e24", "too_large"), ("", "unreadable")}
    last = {o["delivery_id"]: o["outcome"] for o in line.world.outcomes}
    assert len(last) == CALLS - len(POISON)
    assert set(last.values()) == {"delivered"}


async def boundaries() -> int:
    line = full()
    async with line.life():
        assert await line.until(line.ended)
    all_arrived(line)
    return line.segment.fuse.passed


async def test_killed_at_every_boundary_nothing_is_missing_and_nothing_comes_twice() -> None:
    count = await boundaries()
    assert count > 30
    for at in range(1, count + 1):
        line = full()
        line.segment.fuse = Fuse(at)
        async with line.life() as running:
            await asyncio.wait([running], timeout=10)
        assert line.segment.fuse.burnt.is_set()
        line.segment.fuse = Fuse()
        async with line.life():
            assert await line.until(line.ended)
        all_arrived(line)


@pytest.mark.parametrize("then", [AWAY, STOPPED], ids=["away", "stopped"])
async def test_what_was_taken_of_a_refused_request_is_not_sent_again_after_an_outage(then: Reply) -> None:
    """Segment knows a call that comes twice for one day only; an outage may last longer."""
    line = full()
    taken: list[str] = []

    def away_once_some_are_taken(messages: list[dict[str, Any]]) -> Reply:
        if taken:
            return then
        reply = poisoned(messages)
        if reply is OK:
            taken.extend(message["messageId"] for message in messages)
        return reply

    line.segment.answer = away_once_some_are_taken
    async with line.life():
        assert await line.until(lambda: taken and line.segment.received[-1][0] not in taken)
    line.segment.answer, line.segment.received = poisoned, []
    async with line.life():
        assert await line.until(line.ended)
    again = [each for request in line.segment.received for each in request]
    assert not set(again) & set(taken)
    all_arrived(line)
