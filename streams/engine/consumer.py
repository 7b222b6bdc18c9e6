"""Faust's consumer, in batches: all records of one partition out of one fetch are one message.

Faust keeps the group, the assignment and the agents; the data path, the positions and what may be read are
ours. A batch's way: ``BatchThread`` fetches it, ``getmany`` makes it a message, Faust carries that to the
agent (``worker.application``), which gives it to ``Ownership.arrive`` and so to its slot's ``Inbox``; there
the stage takes it, and ``Slot.commit`` ends it. Faust may drop it before the inbox: the offset it began at,
and where the thread stands, tell (``Ownership.arrive``, ``recover``), and it is read again.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, MutableMapping
from typing import Any, cast

from faust.assignor.partition_assignor import PartitionAssignor
from faust.transport.consumer import ensure_TPset
from faust.transport.drivers.aiokafka import Consumer, Transport
from faust.transport.producer import Producer
from faust.types import TP, Message

from streams.engine.fetching import BatchThread
from streams.engine.ownership import Ownership


class Assignor(PartitionAssignor):
    """Faust's assignor without stand-bys: every worker gets its share of the partitions."""

    def __init__(self, app: Any, replicas: int = 0) -> None:
        super().__init__(app, replicas=0)


class SilentProducer(Producer):
    """Faust's own producer, which writes nothing: one library writes, inside transactions."""

    async def flush(self) -> None:
        """Nothing to flush."""


class Forgotten(MutableMapping[TP, int | None]):
    """Faust's notes of what it read: none.

    It drops what begins below them, and writes them in two threads: what is read again would be dropped, too.
    Our slots know what they have.
    """

    def __getitem__(self, tp: TP) -> None:
        return None

    def __setitem__(self, tp: TP, offset: int | None) -> None:
        pass

    def __delitem__(self, tp: TP) -> None:
        pass

    def __iter__(self) -> Iterator[TP]:
        return iter(())

    def __len__(self) -> int:
        return 0


class BatchConsumer(Consumer):
    """Hands out batches; seeks to our positions, resumes what our slots can take, commits what they did."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._done: dict[TP, int] = {}
        self._read_offset = Forgotten()
        self._resumed = asyncio.Event()
        self.ownership = cast("BatchTransport", self.transport).ownership
        self.ownership.consumer = self

    def _new_consumer_thread(self) -> BatchThread:
        return BatchThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:  # Faust's signature
        """One message a partition and fetch. Nothing fetched is dropped: the slot knows what it has."""
        await self.ownership.recover()
        records, _ = await self._wait_next_records(timeout)
        if records and not self.flow_active:  # fetched behind the seek that follows a rebalance, perhaps
            await self.wait(self.can_resume_flow.wait())
        if self.should_stop:
            return
        for tp, fetched in (records or {}).items():
            yield tp, self._to_message(tp, fetched)

    async def _wait_next_records(self, timeout: float) -> tuple[Any, Any]:
        """Faust's, which sleeps for a second while all are paused, whatever is resumed meanwhile."""
        if self.flow_active and not self._get_active_partitions():
            self._resumed.clear()
            await self.wait(self._resumed.wait(), timeout=timeout)
            return None, None
        found: tuple[Any, Any] = await super()._wait_next_records(timeout)
        return found

    def _to_message(self, tp: TP, fetched: Any) -> Any:
        message = super()._to_message(tp, fetched.records[0])
        message.value = fetched
        return message

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Stop handing out before Faust goes on."""
        await self.ownership.revoked()
        for tp in revoked:
            self._done.pop(tp, None)
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Open what is new, close what went, go on with what stayed."""
        await super().on_partitions_assigned(assigned, generation_id)
        self.ownership.assigned(assigned)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek what is readable to our own positions; the rest is sought when its slot is open."""
        places: dict[TP, int] = self.ownership.places(self.assignment())
        if places:
            await self.seek_wait(places)
        return places

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        """Where these begin, asked beside Faust's calls into the thread.

        Of those two run at a time: partitions without a leader would hold up every fetch and seek, and
        Faust never goes on after a rebalance whose seek took too long.
        """
        thread = cast("BatchThread", self._thread)
        asked = thread._ensure_consumer().beginning_offsets(partitions)
        found: Mapping[TP, int] = await asyncio.wrap_future(
            asyncio.run_coroutine_threadsafe(asked, thread.thread_loop)
        )
        return found

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Resume those whose slot can take records; what has been fetched of them is read at once."""
        readable = self.ownership.readable(ensure_TPset(tps))
        paused = readable - self._get_active_partitions()
        super().resume_partitions(readable)
        if paused:
            self._resumed.set()
            cast("BatchThread", self._thread).look_again()

    def behind(self, tp: TP) -> int:
        """The end of the last records that were handed on."""
        return cast("BatchThread", self._thread).behind(tp)

    def empty(self, tp: TP, position: int) -> bool:
        """Whether a fetch younger than a second found nothing behind ``position``."""
        return cast("BatchThread", self._thread).empty(tp, position)

    def done(self, tp: TP, offset: int) -> None:
        """Everything below ``offset`` is done."""
        self._done[tp] = offset

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        return iter(list(self._done))

    def _filter_committable_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        return {tp: self._done.pop(tp) for tp in list(tps) if tp in self._done}

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Offsets between batches are transaction markers: nothing to keep."""

    def verify_event_path(self, now: float, tp: TP) -> None:
        """A lane may wait for hours; lag is watched elsewhere."""


class BatchTransport(Transport):
    """Names our consumer and the silent producer."""

    Consumer = BatchConsumer
    Producer = SilentProducer

    def __init__(self, app: Any, connection: dict[str, Any], ownership: Ownership) -> None:
        self.connection = connection
        self.ownership = ownership
        super().__init__(app.conf.broker_consumer, app)
