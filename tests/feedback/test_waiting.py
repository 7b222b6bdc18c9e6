"""While Segment is away a call waits, however long that takes."""

import asyncio
from typing import Any

from streams.segment.client import Reply
from tests.feedback.line import AWAY, OK, Line, call

TRIES = 1_200
"""Hours of an outage, at half a minute a try and less."""


class Hurried(asyncio.Event):
    """Whoever waits for it does not wait for long."""

    async def wait(self) -> Any:
        async with asyncio.timeout(0):
            return await super().wait()


async def test_an_outage_of_many_hours_is_waited_for() -> None:
    line = Line(revoked=Hurried)
    line.put(call(0))

    def answer(_: list[dict[str, Any]]) -> Reply:
        return AWAY if len(line.segment.received) < TRIES else OK

    line.segment.answer = answer
    async with line.life():
        assert await line.until(line.ended, 120)
    assert line.segment.kept == ["klaviyo-e0"]


async def test_a_pause_is_kept_within_an_outage_too() -> None:
    line = Line()
    line.put(call(0))

    def paused_meanwhile(_: list[dict[str, Any]]) -> Reply:
        line.pauses["acme", "segment"] = "enough"
        return AWAY

    line.segment.answer = paused_meanwhile
    async with line.life():
        assert not await line.until(lambda: len(line.segment.received) > 1, 0.1)
        assert len(line.segment.received) == 1
        line.segment.answer = lambda _: OK
        line.pauses.clear()
        assert await line.until(line.ended)
