"""What Segment took is written before anything else may wait: it knows a repeated call for one day only."""

from typing import NamedTuple

import orjson
import pytest

from streams.engine.inbox import Batch
from streams.feedback.calls import parts
from streams.segment.client import MAX_BATCH_BYTES, MAX_BATCH_CALLS
from tests.feedback.line import AWAY, OK, TOPIC, Line, call


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


async def test_what_was_taken_is_committed_before_the_rest_waits() -> None:
    line = Line()
    line.put(*(call(n) for n in range(MAX_BATCH_CALLS + 7)))
    line.segment.answer = lambda _: AWAY if line.segment.received else OK

    async with line.life():
        assert await line.until(lambda: len(line.segment.received) > 1)

    assert len(line.segment.kept) == len(line.world.outcomes) == MAX_BATCH_CALLS
    assert line.world.positions == {TOPIC: MAX_BATCH_CALLS}
