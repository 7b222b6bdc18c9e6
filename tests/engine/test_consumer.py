"""What the fetching thread hands on: aiokafka's own fetcher, with a broker that is a list of records."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import faust
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import OffsetOutOfRangeError
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import ConsumerRecord
from faust.types import TP
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.engine import ownership
from streams.engine.consumer import Assignor, BatchTransport
from streams.engine.errors import StateMismatch
from streams.engine.inbox import Fetched, Inbox
from streams.engine.ownership import Ownership
from streams.engine.slot import Place
from streams.engine.store import Memory

A, B = TP("klaviyo.events", 0), TP("klaviyo.lists", 0)


class Broker:
    """The client of a fetcher: partitions hold runs of offsets, one record each."""

    def __init__(self) -> None:
        self.cluster = self
        self.logs: dict[TP, list[int]] = {A: [], B: []}
        self.ends: dict[TP, int] = {}
        """Last stable offsets, where transactions' markers lie behind the last record."""
        self.starts: dict[TP, int] = {}
        """What lies below was deleted."""
        self.written = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._metadata_max_age_ms = 300_000

    def write(self, tp: TP, start: int, end: int) -> None:
        self.logs[tp] += range(start, end)
        self.written.set()

    def end(self, tp: TP) -> int:
        return self.ends.get(tp, self.logs[tp][-1] + 1 if self.logs[tp] else 0)

    def leader_for_partition(self, tp: TP) -> int:
        return 0

    async def send(self, node: int, request: Any) -> Any:
        """Records from the asked offsets on; without any it waits for some, for a moment."""
        asked = [(topic, *part) for topic, parts in request.topics for part in parts]
        if not any(offset < self.end(TP(topic, part)) for topic, part, offset, _ in asked):
            self.written.clear()
            try:
                async with asyncio.timeout(0.005):
                    await self.written.wait()
            except TimeoutError:
                pass
        topics = [(topic, [self._part(TP(topic, part), offset)]) for topic, part, offset, _ in asked]
        return SimpleNamespace(API_VERSION=4, topics=topics)

    def _part(self, tp: TP, offset: int) -> tuple[Any, ...]:
        if offset < self.starts.get(tp, 0):
            return tp.partition, OffsetOutOfRangeError.errno, -1, -1, [], b""
        batches = b""
        for at in [at for at in self.logs[tp] if at >= offset]:
            builder = DefaultRecordBatchBuilder(2, 0, 1, -1, -1, 0, 1 << 20)
            builder.append(0, 0, None, b"x", [])
            batch = builder.build()
            batch[0:8] = at.to_bytes(8, "big")  # where the batch begins is not in its checksum
            batches += batch
        return tp.partition, 0, self.end(tp), self.end(tp), [], batches


class Owned:
    """Where the slots stand; nothing is lost on its way to them."""

    async def recover(self) -> None:
        pass


class Life:
    """Faust's consumer and its thread, which runs in this one; the group's deals are made by hand."""

    def __init__(self) -> None:
        self.broker = Broker()
        self.subscription = SubscriptionState()
        self.subscription.subscribe({A.topic, B.topic})
        client: Any = self.broker
        self.fetcher: Any = Fetcher(
            client, self.subscription, auto_offset_reset="none", isolation_level="read_committed"
        )
        self.library: Any = object.__new__(AIOKafkaConsumer)
        self.library._subscription, self.library._fetcher = self.subscription, self.fetcher
        self.library._closed, self.library._max_poll_records = False, 1000
        app = faust.App("tried", broker="kafka://127.0.0.1:1", PartitionAssignor=Assignor, web_enabled=False)
        owned: Any = Owned()
        app.transport = BatchTransport(app, {}, owned)
        app.producer_transport = app.transport
        self.consumer = cast("Any", app.consumer)
        self.thread: Any = self.consumer._thread
        self.thread._consumer = self.library
        self.thread.thread_loop.close()
        self.thread.thread_loop = asyncio.get_running_loop()
        self.thread.call_thread = here
        self.active: set[TP] = self.consumer._active_partitions
        """Faust's own set: the main thread changes it while a fetch waits."""

    def assign(self, *tps: TP) -> None:
        """The group deals these partitions."""
        self.subscription.assign_from_subscribed(set(tps))
        self.active |= set(tps)

    async def deal(self, places: dict[TP, int]) -> None:
        """The group deals these partitions, and each is sought."""
        self.assign(*places)
        await self.thread.seek_wait(places)

    async def fetch(self, timeout: float = 5.0) -> dict[TP, Fetched]:
        async with asyncio.timeout(10):
            found: dict[TP, Fetched] = await self.thread.getmany(self.active, timeout)
            return found

    async def close(self) -> None:
        self.library._closed = True
        await self.fetcher.close()


async def here(function: Any, *args: Any, **kwargs: Any) -> Any:
    return await function(*args, **kwargs)


@pytest.fixture
async def life() -> AsyncIterator[Life]:
    found = Life()
    yield found
    await found.close()


def offsets(fetched: Fetched) -> tuple[int, list[int]]:
    return fetched.start, [record.offset for record in fetched.records]


async def test_what_was_fetched_of_a_partition_paused_meanwhile_is_handed_on(life: Life) -> None:
    """Its position stands behind these records: they come once, and the next begin where they ended."""
    await life.deal({A: 0, B: 0})
    fetched_records = life.fetcher.fetched_records

    async def paused_then(*args: Any, **kwargs: Any) -> Any:
        records = await fetched_records(*args, **kwargs)
        life.active.discard(A)  # the main thread: a full lane
        return records

    life.fetcher.fetched_records = paused_then
    life.broker.write(A, 0, 3)
    assert offsets((await life.fetch())[A]) == (0, [0, 1, 2])

    life.fetcher.fetched_records = fetched_records
    life.active.add(A)
    life.broker.write(A, 4, 6)  # a marker lies between
    assert offsets((await life.fetch())[A]) == (3, [4, 5])


async def test_the_last_active_partition_paused_while_a_fetch_waits_loses_nothing(life: Life) -> None:
    """An empty set means all to the library."""
    await life.deal({A: 0})
    waiting = asyncio.create_task(life.fetch())
    await asyncio.sleep(0)
    life.active.clear()
    life.broker.write(A, 0, 3)
    assert offsets((await waiting)[A]) == (0, [0, 1, 2])

    life.active.add(A)
    life.broker.write(A, 3, 5)
    assert offsets((await life.fetch())[A]) == (3, [3, 4])


async def test_where_a_partition_stood_in_a_former_deal_tells_nothing_of_this_one(life: Life) -> None:
    """The library begins where the group committed: what lies between is not said to be empty."""
    life.broker.write(A, 0, 1000)
    await life.deal({A: 100})
    assert offsets((await life.fetch())[A])[0] == 100
    life.broker.write(A, 1000, 1500)
    life.assign(A, B)
    for tp, committed in ((A, 1200), (B, 0)):
        life.subscription.subscription.assignment.state_value(tp).await_reset(-2)
        life.subscription.subscription.assignment.state_value(tp).reset_to(committed)
    found = (await life.fetch())[A]
    assert found.start >= 1200
    assert found.records[0].offset == 1200


async def test_what_the_library_moved_past_by_itself_is_not_said_to_be_empty(life: Life) -> None:
    """Whatever passes over records, the next fetch tells where it began, and the slot asks for the rest."""
    await life.deal({A: 0})
    life.broker.write(A, 0, 10)
    assert offsets((await life.fetch())[A])[0] == 0
    life.broker.write(A, 10, 30)
    assert (await life.fetcher.fetched_records(set(), 5, 1000))[A][-1].offset == 29  # and nobody is told
    life.broker.write(A, 30, 40)
    assert offsets((await life.fetch())[A])[0] == 30


async def test_what_the_group_committed_may_lie_below_what_is_kept(life: Life) -> None:
    """A killed worker had done more than it committed; what it had done was deleted since."""
    life.broker.write(A, 0, 20)
    life.broker.starts[A] = 10
    life.assign(A)
    life.subscription.subscription.assignment.state_value(A).seek(5)
    for _ in range(3):
        assert await life.fetch(0.05) == {}
    await life.thread.seek_wait({A: 10})
    assert offsets((await life.fetch())[A]) == (10, list(range(10, 20)))


async def test_records_deleted_before_they_were_read_are_told(life: Life) -> None:
    life.broker.write(A, 0, 20)
    life.broker.starts[A] = 10
    await life.deal({A: 5})
    with pytest.raises(StateMismatch, match="deleted before they were read"):
        await life.fetch()


async def test_a_seek_while_records_are_on_their_way_leaves_them_behind(life: Life) -> None:
    """Neither what the broker is about to answer, nor what was unpacked in part, is handed on after it."""
    life.broker.write(A, 0, 2400)
    await life.deal({A: 0})
    assert offsets((await life.fetch())[A])[1][-1] == 999
    await life.thread.seek_wait({A: 500})
    found = await life.fetch()
    assert offsets(found[A]) == (500, list(range(500, 1500)))

    await life.fetch()
    async with asyncio.timeout(5):
        while not life.fetcher._in_flight:
            await asyncio.sleep(0.001)
    await life.thread.seek_wait({A: 5})
    life.broker.write(A, 2400, 2401)
    assert offsets((await life.fetch())[A]) == (5, list(range(5, 1005)))


async def test_markers_behind_the_last_record_are_passed_and_the_input_is_empty(life: Life) -> None:
    life.broker.write(A, 0, 3)
    await life.deal({A: 0})
    assert not life.thread.empty(A, 0)
    assert offsets((await life.fetch())[A]) == (0, [0, 1, 2])
    assert not life.thread.empty(A, 2)
    while not life.thread.empty(A, 3):
        assert await life.fetch(0.01) == {}
    life.broker.write(A, 3, 4)
    async with asyncio.timeout(5):
        while A not in life.fetcher._records:
            await asyncio.sleep(0.001)
    assert not life.thread.empty(A, 3)


async def drain(life: Life, fetches: list[dict[TP, Fetched]], arrive: Any) -> None:
    """Run Faust's own loop over these fetches."""
    over = asyncio.Event()
    left = iter(fetches)

    async def getmany(*_: Any) -> dict[TP, Fetched]:
        if (found := next(left, None)) is not None:
            return found
        over.set()
        return {}

    life.thread.getmany, life.consumer.callback = getmany, arrive
    fetcher: Any = SimpleNamespace(_stopped=over)
    async with asyncio.timeout(5):
        await life.consumer._drain_messages(fetcher)


def fetched(start: int, end: int) -> dict[TP, Fetched]:
    records: list[Any] = [
        ConsumerRecord(A.topic, A.partition, at, 0, 0, None, b"x", None, -1, 1, ())
        for at in range(start, end)
    ]
    return {A: Fetched(start, records)}


async def test_what_is_read_again_is_not_dropped_for_what_was_read_further_on(life: Life) -> None:
    """A slot that was opened again stands at 500; the seek is done before Faust has noted the 700."""
    await life.deal({A: 700})
    came: list[int] = []

    async def arrive(message: Any) -> None:
        came.append(message.value.start)
        if message.value.start == 700:
            await life.consumer.seek_wait({A: 500})

    await drain(life, [fetched(700, 710), fetched(500, 710)], arrive)
    assert came == [700, 500]


async def test_what_was_fetched_before_the_flow_goes_on_after_a_rebalance_is_handed_on(life: Life) -> None:
    """It may lie behind the seek to the slots' positions: nobody would read it again."""

    async def wait_next(timeout: float) -> Any:
        asyncio.get_running_loop().call_soon(life.consumer.resume_flow)
        life.consumer.stop_flow()
        return fetched(0, 5), life.active

    life.consumer._wait_next_records = wait_next
    assert [message.value.start async for _, message in life.consumer.getmany(1.0)] == [0]


async def test_partitions_without_a_leader_hold_up_no_other_call(life: Life) -> None:
    """Faust's calls into its thread run two at a time; the question where a partition begins is none."""
    led, asked_for = asyncio.Event(), asyncio.Semaphore(0)

    async def beginnings(tps: tuple[TP, ...]) -> dict[TP, int]:
        asked_for.release()
        await led.wait()
        return dict.fromkeys(tps, 7)

    life.library.beginning_offsets = beginnings
    del life.thread.call_thread
    await life.thread.method_queue.start()
    asked = [asyncio.create_task(life.consumer.earliest_offsets(A)) for _ in range(4)]
    async with asyncio.timeout(5):
        for _ in range(2):
            await asked_for.acquire()
        await life.deal({A: 0})
    led.set()
    assert await asyncio.gather(*asked) == [{A: 7}] * 4
    await life.thread.method_queue.stop()


class Line:
    """One input of one slot, from the broker to what the slot has done; each move is one that may happen."""

    def __init__(self, life: Life) -> None:
        self.life = life
        place = Place("deliver", (A.topic,), "", False, 0, 1, {}, Path(), Memory())
        stage: Any = SimpleNamespace(name="deliver")
        self.owner = Ownership(place, stage, lambda why: None)
        self.owner.consumer = self
        self.coming: deque[Fetched] = deque()
        self.done: list[int] = []
        self.inbox: Inbox
        self.end = 0

    def write(self) -> None:
        """Some records, and sometimes markers before them."""
        start = self.end + self.end % 3
        self.life.broker.write(A, start, start + 4)
        self.end = start + 4

    async def open(self) -> None:
        """The slot is opened, again perhaps: what it had not done is gone from memory."""
        self.inbox = Inbox((A.topic,), 0, self.owner)
        self.inbox.next[A.topic] = self.done[-1] + 1 if self.done else 0
        self.owner._slots[0] = cast("Any", SimpleNamespace(inbox=self.inbox))
        await self.seek_wait(self.owner.places({A}))
        self.resume_partitions({A})

    async def deal(self, committed: int) -> None:
        """The group deals anew: the library begins anywhere, then the slots' positions are sought."""
        self.life.assign(A)
        self.life.subscription.subscription.assignment.state_value(A).seek(committed)
        await self.fetch()
        await self.seek_wait(self.owner.places({A}))

    async def fetch(self) -> None:
        if self.life.active:
            self.coming.extend((await self.life.fetch(0.001)).values())

    async def arrive(self) -> None:
        if self.coming:
            await self.owner.arrive(A, self.coming.popleft())

    def drop(self) -> None:
        """Faust may lose one on its way."""
        if self.coming:
            self.coming.popleft()

    async def work(self) -> None:
        if self.inbox.waiting and not self.inbox._paused:
            async for batch in self.inbox.batches():
                self.done += [record.offset for record in batch.records]
                return

    async def finish(self) -> None:
        """Nothing more happens: all that was written is done, once and in order."""
        self.inbox.resume(A.topic)
        async with asyncio.timeout(10):
            while self.done != self.life.broker.logs[A]:
                assert self.done == self.life.broker.logs[A][: len(self.done)]
                await self.fetch()
                await self.arrive()
                await self.work()
                if not self.coming:
                    await self.owner.recover()

    async def seek_wait(self, places: dict[TP, int]) -> None:
        await self.life.thread.seek_wait(places)

    def pause_partitions(self, tps: set[TP]) -> None:
        self.life.active -= tps

    def resume_partitions(self, tps: set[TP]) -> None:
        self.life.active |= self.owner.readable(tps)

    def assignment(self) -> set[TP]:
        return {A}

    def behind(self, tp: TP) -> int:
        return cast("int", self.life.thread.behind(tp))


MOVES = ("write", "fetch", "arrive", "work", "drop", "open", "deal", "pause", "resume")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(MOVES), st.integers(0, 40)), max_size=40))
async def test_whatever_happens_each_record_is_done_once_and_in_order(moves: list[tuple[str, int]]) -> None:
    life = Life()
    line = Line(life)
    try:
        await life.deal({A: 0})
        await line.open()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ownership, "LOST_S", 0.0)
            for move, number in moves:
                if move == "deal":
                    await line.deal(min(number, line.end))
                elif move in ("pause", "resume"):
                    getattr(line.inbox, move)(A.topic)
                elif asyncio.iscoroutine(moving := getattr(line, move)()):
                    await moving
                assert line.done == life.broker.logs[A][: len(line.done)]
            await line.finish()
    finally:
        await life.close()
