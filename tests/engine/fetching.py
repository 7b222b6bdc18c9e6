"""A broker that is a list of records, read by aiokafka's own fetcher and Faust's consumer, in one thread."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import faust
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import OffsetOutOfRangeError
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from faust.types import TP

from streams.engine.consumer import Assignor, BatchTransport
from streams.engine.inbox import Fetched

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
