"""What waits for as long as its topic keeps it: it is told, and nothing is dropped unread."""

import logging

import pytest

from streams.engine.topics import DAY_MS, INPUTS, TOPICS
from streams.ledger.ageing import ALARM_MS, END_MS, KEPT_MS
from tests.feedback.line import OK, STOPPED, Line, call

OLD = END_MS + 60_000


def test_every_lane_keeps_as_long_as_is_reckoned_with() -> None:
    kept = [TOPICS[name].retention_ms or 0 for name in (*INPUTS["deliver"], *INPUTS["feedback"])]
    assert min(kept) == KEPT_MS


@pytest.mark.parametrize("paused", [True, False], ids=["paused", "stopped"])
async def test_before_its_topic_drops_it_a_call_is_a_dead_letter_and_what_is_younger_waits_on(
    paused: bool,
) -> None:
    line = Line()
    if paused:
        line.pauses["acme", "segment"] = "until it is too late"
    line.segment.answer = lambda _: STOPPED
    line.put(*(call(n) for n in range(603)), age_ms=OLD)
    line.put(*(call(n) for n in range(603, 606)), age_ms=END_MS - DAY_MS)
    async with line.life():
        assert await line.until(lambda: len(line.world.dead_letters) == 603)
        assert bool(line.segment.received) != paused
        assert bool(line.said()) != paused
        line.pauses.clear()
        line.segment.answer = lambda _: OK
        assert await line.until(line.ended)
    assert {(letter["reason"], letter["lane"]) for letter in line.world.dead_letters} == {
        ("retention", "segment")
    }
    assert "34 of the 35 days" in line.world.dead_letters[0]["detail"]
    assert line.segment.kept == [f"klaviyo-e{n}" for n in range(603, 606)]


async def test_what_is_old_and_can_be_sent_is_sent() -> None:
    line = Line()
    line.put(call(0), age_ms=OLD)
    async with line.life():
        assert await line.until(line.ended)
    assert line.segment.kept == ["klaviyo-e0"]


async def test_it_is_told_of_at_half_of_the_time(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "streams")
    for age_ms in (ALARM_MS - 60_000, ALARM_MS + 60_000):
        line = Line()
        line.segment.answer = lambda _: STOPPED
        line.put(call(0), age_ms=age_ms)
        async with line.life():
            assert await line.until(lambda asked=line.segment.received: len(asked) > 3)
        told = [record for record in caplog.records if record.message == "lane_old"]
        assert len(told) == (age_ms > ALARM_MS)
        assert not line.world.dead_letters
