"""While Segment is away a call waits, however long that takes."""

import asyncio
from types import SimpleNamespace
from typing import Any

from streams.feedback.agent import Call, Feedback
from streams.segment.client import Reply

TRIES = 1_200
"""Hours of an outage, at half a minute a try and less."""


class Away:
    """Answers 503 until it has been asked often enough."""

    def __init__(self) -> None:
        self.asked = 0

    async def send(self, *_: object) -> Reply:
        self.asked += 1
        return Reply("again" if self.asked < TRIES else "accepted", 503, "")


class NoTime(asyncio.Event):
    """Nobody revokes; waiting for it takes no time."""

    async def wait(self) -> Any:
        raise TimeoutError


async def test_an_outage_of_many_hours_is_waited_for() -> None:
    feedback = object.__new__(Feedback)
    side = SimpleNamespace(url="", write_key=SimpleNamespace(get_secret_value=str))
    feedback._accounts = {"acme": SimpleNamespace(segment=side)}  # type: ignore[dict-item]
    feedback._control = SimpleNamespace(paused=lambda *_: None)  # type: ignore[assignment]
    feedback._client = Away()  # type: ignore[assignment]
    slot: Any = SimpleNamespace(revoked=NoTime())
    call = Call({"payload": b"{}"}, b"")  # type: ignore[typeddict-item]

    reply = await feedback._until_answered("acme", [call], slot)

    assert reply is not None
    assert reply.verdict == "accepted"


class OneLook(asyncio.Event):
    """Revoked after the first wait."""

    async def wait(self) -> Any:
        self.set()


async def test_calls_of_an_account_that_is_configured_no_more_wait_and_end_no_process() -> None:
    feedback = object.__new__(Feedback)
    feedback._accounts = {}
    slot: Any = SimpleNamespace(revoked=OneLook())
    call = Call({"payload": b"{}"}, b"")  # type: ignore[typeddict-item]

    assert await feedback._until_answered("gone", [call], slot) is None
