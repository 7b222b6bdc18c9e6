"""What the fetching thread hands on: aiokafka's own fetcher, with a broker that is a list of records."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from faust.types import TP

from streams.engine.consumer import BatchThread
from streams.engine.inbox import Fetched

A, B = TP("klaviyo.events", 0), TP("klaviyo.lists", 0)


class Broker:
    """The client of a fetcher: partitions hold runs of offsets, one record each."""

    def __init__(self) -> None:
        self.cluster = self
        self.logs: dict[TP, list[int]] = {A: [], B: []}
        self.ends: dict[TP, int] = {}
        """Last stable offsets, where transactions' markers lie behind the last record."""
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
                async with asyncio.timeout(0.05):
                    await self.written.wait()
            except TimeoutError:
                pass
        topics = [(topic, [self._part(TP(topic, part), offset)]) for topic, part, offset, _ in asked]
        return SimpleNamespace(API_VERSION=4, topics=topics)

    def _part(self, tp: TP, offset: int) -> tuple[Any, ...]:
        batches = b""
        for at in [at for at in self.logs[tp] if at >= offset]:
            builder = DefaultRecordBatchBuilder(2, 0, 1, -1, -1, 0, 1 << 20)
            builder.append(0, 0, None, b"x", [])
            batch = builder.build()
            batch[0:8] = at.to_bytes(8, "big")  # where the batch begins is not in its checksum
            batches += batch
        return tp.partition, 0, self.end(tp), self.end(tp), [], batches


class Life:
    """A thread's fetching half and the group's deals, without a thread, a group or a broker."""

    def __init__(self) -> None:
        self.broker = Broker()
        self.subscription = SubscriptionState()
        self.subscription.subscribe({A.topic, B.topic})
        client: Any = self.broker
        self.fetcher = Fetcher(
            client, self.subscription, auto_offset_reset="none", isolation_level="read_committed"
        )
        self.consumer: Any = object.__new__(AIOKafkaConsumer)
        self.consumer._subscription, self.consumer._fetcher = self.subscription, self.fetcher
        self.consumer._closed = False
        self.active: set[TP] = set()
        """Faust's own set: the main thread changes it while a fetch waits."""
        self.thread = object.__new__(BatchThread)
        thread: Any = self.thread
        thread._spots = {}
        thread._consumer = self.consumer
        conf = SimpleNamespace(broker_request_timeout=30.0)
        thread.app = SimpleNamespace(conf=conf)
        thread.consumer = SimpleNamespace(flow_active=True, _read_offset={})
        thread.log = SimpleNamespace(dev=lambda *_: None)

    async def deal(self, places: dict[TP, int]) -> None:
        """The group deals these partitions, and each is sought."""
        self.subscription.assign_from_subscribed(set(places))
        self.active |= set(places)
        await self.thread._seek_wait(self.consumer, places)

    async def fetch(self, timeout: float = 5.0) -> dict[TP, Fetched]:
        async with asyncio.timeout(10):
            return await self.thread._fetch_records(self.consumer, self.active, timeout, 1000)

    async def close(self) -> None:
        self.consumer._closed = True
        await self.fetcher.close()


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
