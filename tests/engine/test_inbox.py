"""What waits in a slot: in order, in batches of bounded size, and not of what is paused."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import NamedTuple, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.engine.codec import Codec
from streams.engine.errors import Unreadable
from streams.engine.inbox import BATCH_BYTES, BATCH_RECORDS, WAITING_BYTES, Batch, Inbox, Record

TOPICS = ("a", "b", "a.backfill")


class Sent(NamedTuple):
    offset: int
    value: bytes = b"x"
    key: bytes | None = None
    timestamp: int = 0


class Source:
    def __init__(self) -> None:
        self.paused: set[str] = set()

    def pause(self, topic: str, partition: int) -> None:
        self.paused.add(topic)

    def resume(self, topic: str, partition: int) -> None:
        self.paused.discard(topic)

    def committed(self, topic: str, partition: int, offset: int) -> None:
        pass

    def empty(self, topic: str, partition: int, position: int) -> bool:
        return True


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def inbox(source: Source) -> Inbox:
    return Inbox(TOPICS, 0, source)


def records(start: int, count: int, size: int = 1) -> Sequence[Sent]:
    return [Sent(start + n, b"x" * size) for n in range(count)]


async def take(inbox: Inbox) -> Batch:
    async for batch in inbox.batches():
        return batch
    raise AssertionError


async def test_a_batch_that_arrives_during_a_transaction_is_waited_for_no_longer(inbox: Inbox) -> None:
    over = asyncio.Event()
    transaction = asyncio.create_task(over.wait())
    arrival = asyncio.create_task(inbox.arrival(unless=transaction))
    inbox.pause("b")
    inbox.arrive("b", records(0, 1))
    await asyncio.sleep(0.01)
    assert not arrival.done()

    inbox.arrive("a", records(0, 1))
    await arrival
    assert not transaction.done()

    await take(inbox)
    arrival = asyncio.create_task(inbox.arrival(unless=transaction))
    await asyncio.sleep(0.01)
    assert not arrival.done()
    over.set()
    await arrival
    assert transaction.done()


async def test_a_record_without_a_value_is_empty_so_that_it_ends_as_unreadable(inbox: Inbox) -> None:
    nothing = SimpleNamespace(offset=0, value=None, key=b"k", timestamp=0)
    inbox.arrive("a", [cast("Record", nothing)])
    (record,) = (await take(inbox)).records
    assert record.value == b""
    with pytest.raises(Unreadable):
        Codec("unique", {}).decode(record.value)


async def test_after_a_tick_that_had_something_to_do_the_next_comes_soon(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each lets so many holds go: thousands a second may have expired."""
    monkeypatch.setattr("streams.engine.inbox.TICK_S", 0.01)
    ticks = inbox.batches()
    assert not (await anext(ticks)).records
    monkeypatch.setattr("streams.engine.inbox.TICK_S", 3600.0)
    for _ in range(2):
        inbox.tick_again()
        async with asyncio.timeout(20):
            assert not (await anext(ticks)).records
    inbox.arrive("a", records(0, 1))
    assert (await anext(ticks)).records


async def test_a_batch_has_a_bound_in_records_and_in_bytes(inbox: Inbox) -> None:
    inbox.arrive("a", records(0, 3000))
    assert len((await take(inbox)).records) == BATCH_RECORDS
    inbox.arrive("a", records(3000, 200, 47_000))
    assert len((await take(inbox)).records) == 1000 + BATCH_BYTES // 47_000
    assert len((await take(inbox)).records) == BATCH_BYTES // 47_000


async def test_a_record_larger_than_a_batch_goes_alone(inbox: Inbox) -> None:
    inbox.arrive("a", records(0, 2, BATCH_BYTES + 1))
    assert [r.offset for r in (await take(inbox)).records] == [0]
    assert [r.offset for r in (await take(inbox)).records] == [1]


async def test_what_was_fetched_of_a_paused_input_waits_and_the_others_go_on(
    inbox: Inbox, source: Source
) -> None:
    inbox.arrive("a", records(0, 2))
    inbox.arrive("b", records(0, 2))
    inbox.pause("a")
    assert (await take(inbox)).topic == "b"
    assert source.paused == {"a"}
    inbox.resume("a")
    assert (await take(inbox)).topic == "a"
    assert not source.paused


async def test_an_input_with_too_much_waiting_is_not_read_on_when_it_is_resumed(
    inbox: Inbox, source: Source
) -> None:
    inbox.arrive("a", records(0, 10, WAITING_BYTES // 5))
    inbox.pause("a")
    inbox.resume("a")
    assert source.paused == {"a"}
    while source.paused:
        await take(inbox)
    assert not inbox.at_end("a", 0)


MOVES = st.lists(
    st.tuples(st.sampled_from(["arrive", "pause", "resume", "take"]), st.sampled_from("abc")), max_size=60
)


@given(MOVES)
async def test_each_input_keeps_its_order_and_nothing_is_lost(moves: list[tuple[str, str]]) -> None:
    inbox = Inbox(("a", "b", "c"), 0, Source())
    taken: dict[str, list[int]] = {topic: [] for topic in "abc"}
    arrived = dict.fromkeys("abc", 0)
    paused: set[str] = set()

    async def take_one() -> bool:
        if not any(arrived[topic] > len(taken[topic]) for topic in set("abc") - paused):
            return False
        batch = await take(inbox)
        assert batch.topic not in paused
        taken[batch.topic] += [record.offset for record in batch.records]
        return True

    for move, topic in moves:
        if move == "arrive":
            inbox.arrive(topic, records(arrived[topic], 2, BATCH_BYTES * 2 // 3))
            arrived[topic] += 2
        elif move == "pause":
            inbox.pause(topic)
            paused.add(topic)
        elif move == "resume":
            inbox.resume(topic)
            paused.discard(topic)
        else:
            await take_one()
    for topic in "abc":
        inbox.resume(topic)
    paused.clear()
    while await take_one():
        pass
    assert taken == {topic: list(range(count)) for topic, count in arrived.items()}
