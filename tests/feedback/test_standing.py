"""An account that is sent nothing: its position says why and since when, and it goes on by itself."""

from time import time
from typing import Any

import pytest

from streams.engine.lanes import _state
from streams.engine.positions import Passed
from streams.engine.topics import twin
from streams.feedback import agent
from streams.segment.client import Reply
from tests.feedback.line import AWAY, OK, REFUSED, STOPPED, TOPIC, Line, call


async def test_the_position_says_why_and_since_when_until_segment_has_taken_something() -> None:
    line = Line()
    line.put(*(call(n) for n in range(3)))
    line.segment.answer = lambda _: STOPPED
    async with line.life():
        assert await line.until(line.said)
        (why, since), commits = line.said(), line.world.commits
        assert await line.until(lambda: len(line.segment.received) > 5)
        assert line.world.commits == commits, "it is said once"
    assert why == "HTTP 401: no such key"
    assert 0 <= time() * 1000 - since < 20_000
    line.segment.answer = lambda _: Reply("stopped", 403, "")
    async with line.life():
        assert line.said() == [why, since]
        assert await line.until(lambda: "403" in line.said()[0])
        assert line.said()[1] == since
        line.segment.answer = lambda _: OK
        assert await line.until(line.ended)
    assert line.world.positions == {TOPIC: 3}
    assert line.segment.kept == ["klaviyo-e0", "klaviyo-e1", "klaviyo-e2"]


async def test_an_outage_is_told_of_once_it_has_lasted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent, "LONGEST_PAUSE_S", 0.8)
    line = Line()
    line.put(call(0))
    said: list[Any] = []

    def away(_: object) -> Reply:
        said.append(line.said())
        return AWAY

    line.segment.answer = away
    async with line.life():
        assert await line.until(lambda: said and said[-1] is not None)
        assert said[:3] == [None, None, None]
        line.segment.answer = lambda _: OK
        assert await line.until(line.ended)


async def test_a_long_rest_that_segment_asks_for_is_told_of_at_once() -> None:
    line = Line()
    line.put(call(0))
    line.segment.answer = lambda _: Reply("again", 429, "later", 600)
    async with line.life():
        assert await line.until(line.said)
        assert len(line.segment.received) == 1
    assert line.said()[0] == "HTTP 429: later"


async def test_an_account_without_a_way_back_says_so() -> None:
    line = Line(key=None)
    line.put(call(0))
    async with line.life():
        assert await line.until(line.said)
    assert "accounts.acme.segment.write_key" in line.said()[0]
    line.key = "new"
    async with line.life():
        assert await line.until(line.ended)
    assert line.segment.keys == ["new"]


async def test_a_stop_is_over_whichever_topic_is_sent_first() -> None:
    line = Line()
    line.put(call(0), topic=twin(TOPIC))
    line.segment.answer = lambda _: STOPPED
    async with line.life():
        assert await line.until(line.said)
    backfill = line.world.topics.pop(twin(TOPIC))
    line.put(call(1))
    line.segment.answer = lambda _: OK
    async with line.life():
        assert await line.until(lambda: line.world.positions.get(TOPIC) == 1)
        assert line.said() is None
    line.world.topics[twin(TOPIC)] = backfill
    async with line.life():
        assert await line.until(line.ended)


async def test_a_stop_is_over_when_a_call_is_refused_for_what_it_is() -> None:
    line = Line()
    line.put(call(0))
    line.segment.answer = lambda _: STOPPED
    async with line.life():
        assert await line.until(line.said)
        line.segment.answer = lambda _: REFUSED
        assert await line.until(line.ended)
    assert [letter["reason"] for letter in line.world.dead_letters] == ["rejected"]


async def test_where_every_call_is_refused_it_is_hardly_the_calls() -> None:
    line = Line(probe_s=0.2)
    line.put(*(call(n) for n in range(60)))
    line.segment.answer = lambda _: REFUSED
    async with line.life():
        assert await line.until(line.said)
        why, since = line.said()
        assert why == "HTTP 400: made up"
        assert len(line.world.dead_letters) == agent.REFUSALS
        assert await line.until(lambda: len(line.world.dead_letters) > agent.REFUSALS)
        assert line.said() == [why, since]
        line.segment.answer = lambda _: OK
        assert await line.until(line.ended)
    refused = {letter["event_id"] for letter in line.world.dead_letters}
    assert line.segment.kept == [f"klaviyo-e{n}" for n in range(60) if f"e{n}" not in refused]
    assert len(refused) < 30


async def test_calls_refused_here_and_there_are_no_reason_to_stand() -> None:
    line = Line()
    line.put(*(call(n, {"poison": n % 2}) for n in range(60)))
    line.segment.answer = lambda batch: REFUSED if any(each["poison"] for each in batch) else OK
    async with line.life():
        assert await line.until(line.ended)
    assert len(line.world.dead_letters) == len(line.segment.kept) == 30


def test_the_list_shows_a_stop_that_either_topic_tells_of() -> None:
    stopped = Passed(5, stopped=("HTTP 401", 7))
    assert (
        _state(None, [Passed(3), stopped]) == _state(None, [stopped, Passed(3)]) == ("stopped", "HTTP 401", 7)
    )
    assert _state(None, [Passed(3), Passed(5)]) == ("live", None, None)
