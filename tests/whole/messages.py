"""What is sent to a whole line, and how far that is."""

import time
from concurrent.futures import Future
from typing import Any

import orjson

from streams.local.traffic import Counts, generate
from streams.local.traffic.message import Message
from tests.line import eventually

HOUR_MS = 3_600_000


class Sending:
    """Traffic under way."""

    def __init__(self, counts: Counts) -> None:
        self.counts = counts
        self.result: Future[Counts]

    def note(self, counts: Counts) -> None:
        """Keep the latest counts."""
        self.counts = counts

    def wait_for(self, accepted: int) -> None:
        """Wait until so many messages were accepted."""
        eventually(lambda: self.counts.accepted >= accepted or self.result.done())


def traffic(events: int, *, seed: int = 1, people: int = 3_000) -> list[Message]:
    """A shop's last hour, but for what is no JSON: that is refused, not accepted."""
    start_ms = int(time.time() * 1000) - HOUR_MS
    return [message for message in generate(seed, people, events, start_ms) if message.is_json]


def message(kind: str, number: int, **fields: Any) -> Message:
    """One message, e.g. ``message("track", 1, userId="u1", event="Order Completed", properties={})``."""
    at = int(time.time() * 1000)
    body = {"type": kind, "messageId": f"{kind}-{number}", **fields}
    return Message(orjson.dumps(body), kind, body["messageId"], number, at)
