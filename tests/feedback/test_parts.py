"""What Segment took is written before anything else may wait: it knows a repeated call for one day only."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, NamedTuple

import orjson
import pytest

from streams.engine.inbox import Batch
from streams.engine.outbox import Outbox
from streams.feedback.agent import Feedback, parts
from streams.segment.client import MAX_BATCH_BYTES, MAX_BATCH_CALLS, Reply

TOPIC = "segment.outbound"


class Record(NamedTuple):
    offset: int
    timestamp: int
    key: bytes
    value: bytes


def record(offset: int, size: int = 10) -> Record:
    operation = {"op_id": f"o{offset}", "account": "acme", "event_id": "e", "origin": {"accepted_at": 1}}
    return Record(offset, 0, b"", orjson.dumps(operation | {"payload": "x" * size}))


@pytest.mark.parametrize("size", [10, 400, 20_000])
def test_a_part_is_one_request_and_nothing_is_left_out(size: int) -> None:
    records = [record(offset, size) for offset in range(1_200)]

    made = list(parts(Batch(TOPIC, records)))

    assert [each for part in made for each in part.records] == records
    assert len(made) > 1
    for part in made:
        assert len(part.records) <= MAX_BATCH_CALLS
        assert sum(len(each.value) for each in part.records) <= MAX_BATCH_BYTES


def test_a_tick_and_a_record_larger_than_a_request_are_parts_of_their_own() -> None:
    assert list(parts(Batch("", ()))) == [Batch("", [])]
    large = [record(1, 600_000), record(2)]
    assert [part.records for part in parts(Batch(TOPIC, large))] == [[large[0]], [large[1]]]


class Segment:
    """Takes the first request; from then on it is away."""

    def __init__(self, revoked: asyncio.Event) -> None:
        self.taken = 0
        self._revoked = revoked

    async def send(self, _url: str, _key: str, calls: list[bytes]) -> Reply:
        if self.taken:
            self._revoked.set()
            return Reply("again", 503, "")
        self.taken = len(calls)
        return Reply("accepted", 200, "")


class Slot:
    """One batch; what is committed is kept."""

    partition = 0

    def __init__(self) -> None:
        self.revoked = asyncio.Event()
        self.store = SimpleNamespace(get_many=lambda keys: [None] * len(keys))
        self.commits: list[Outbox] = []

    async def batches(self) -> AsyncIterator[Batch]:
        yield Batch(TOPIC, [record(offset) for offset in range(MAX_BATCH_CALLS + 7)])

    async def commit(self, outbox: Outbox) -> None:
        self.commits.append(outbox)


async def test_what_was_taken_is_committed_before_the_rest_waits() -> None:
    async def learn(_: object) -> None:
        """All schemas are known."""

    def operation(value: bytes) -> dict[str, Any]:
        read: dict[str, Any] = orjson.loads(value)
        return read | {"payload": read["payload"].encode()}

    slot: Any = Slot()
    feedback = object.__new__(Feedback)
    side = SimpleNamespace(url="", write_key=SimpleNamespace(get_secret_value=str))
    feedback._accounts = {"acme": SimpleNamespace(segment=side)}  # type: ignore[dict-item]
    feedback._control = SimpleNamespace(paused=lambda *_: None)  # type: ignore[assignment]
    feedback._registry = SimpleNamespace(learn=learn)  # type: ignore[assignment]
    feedback._operation = operation
    feedback._ledger = SimpleNamespace(outcome=lambda *_, **__: b"said")  # type: ignore[assignment]
    feedback._client = client = Segment(slot.revoked)  # type: ignore[assignment]

    await feedback.run(slot)

    (committed,) = slot.commits
    assert client.taken == len(committed.outcomes) == MAX_BATCH_CALLS
    assert committed.positions == {TOPIC: MAX_BATCH_CALLS}
