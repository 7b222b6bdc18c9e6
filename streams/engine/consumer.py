"""Faust's consumer, in batches: all records of one partition out of one fetch are one message.

Faust keeps the group, the assignment and the agents; the data path, the positions and what may be read are
ours.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, MutableMapping
from contextlib import suppress
from time import time
from typing import Any, Final, NamedTuple, cast
from weakref import WeakKeyDictionary

import aiokafka
from aiokafka.errors import IllegalStateError, NoOffsetForPartitionError, OffsetOutOfRangeError
from faust.assignor.partition_assignor import PartitionAssignor
from faust.transport.consumer import ensure_TPset
from faust.transport.drivers.aiokafka import (
    AIOKafkaConsumerThread,
    Consumer,
    Transport,
)
from faust.transport.producer import Producer
from faust.types import TP, Message

from streams.engine.errors import StateMismatch
from streams.engine.inbox import Fetched
from streams.engine.ownership import Ownership

FETCH_WAIT_MS: Final = 500
FETCH_BYTES: Final = 4 << 20
POLL_RECORDS: Final = 1000
"""Unpacked from a fetch at a time: packed ones may be many times as large, and are counted then."""
FRESH_MS: Final = 1_000


class Assignor(PartitionAssignor):
    """Faust's assignor without stand-bys: every worker gets its share of the partitions."""

    def __init__(self, app: Any, replicas: int = 0) -> None:
        super().__init__(app, replicas=0)


class SilentProducer(Producer):
    """Faust's own producer, which writes nothing: one library writes, inside transactions."""

    async def flush(self) -> None:
        """Nothing to flush."""


class Spot(NamedTuple):
    """Where reading stands: behind the last record, and behind the transaction markers after it, too."""

    behind: int
    position: int


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


class BatchThread(AIOKafkaConsumerThread):
    """The thread that fetches."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._spots: WeakKeyDictionary[Any, Spot] = WeakKeyDictionary()
        """By what the library knows of a partition, which is new with each deal of the group; once sought."""

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        conf = self.app.conf
        self._assignor = self.app.assignor
        return aiokafka.AIOKafkaConsumer(
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            auto_offset_reset="none",  # the positions are ours; a jump over deleted records is never silent
            isolation_level="read_committed",
            max_poll_records=POLL_RECORDS,
            max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            max_poll_interval_ms=2**31 - 1,  # lanes may wait for hours; the heartbeat tells who lives
            **cast("BatchTransport", self.transport).connection,
        )

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: set[TP],
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> dict[TP, Any]:
        """What was fetched, each part with the offset it began at.

        ``active_partitions`` is Faust's own set: what is paused while this waits is gone from it, and was
        fetched all the same. Where reading stands elsewhere than it was left, nothing is known of what lies
        between: what is fetched next begins there, and the slot asks for the rest.
        """
        for _, state in self._standing():
            if (spot := self._spots.get(state)) is not None and spot.position != state.position:
                self._spots[state] = Spot(state.position, state.position)
        try:
            records = await super()._fetch_records(consumer, active_partitions, timeout, max_records)
        except NoOffsetForPartitionError:
            return {}  # dealt a moment ago, and not sought yet
        except OffsetOutOfRangeError as error:
            if not any(self._state(tp) in self._spots for tp in error.args[0]):
                return {}  # where the group committed, which tells nothing: the slot has yet to seek
            raise StateMismatch(f"records were deleted before they were read: {error}") from error
        found: dict[TP, Any] = {}
        for tp, state in self._standing():
            position, batch, spot = state.position, records.get(tp), self._spots.get(state)
            if batch:  # read without a gap: markers at most lie between
                found[tp] = Fetched(position if spot is None else spot.behind, batch)
            if spot is not None:
                self._spots[state] = Spot(batch[-1].offset + 1 if batch else spot.behind, position)
        return found

    async def _seek_wait(self, consumer: Any, partitions: Mapping[TP, int]) -> None:
        """Seek those that are ours still."""
        assigned = consumer.assignment()
        ours = {tp: offset for tp, offset in partitions.items() if tp in assigned}
        for tp, offset in ours.items():
            self._spots[self._state(tp)] = Spot(offset, offset)
        with suppress(IllegalStateError):  # dealt elsewhere while it waits for its new position
            await super()._seek_wait(consumer, ours)

    def _standing(self) -> Iterator[tuple[TP, Any]]:
        """Every partition of which it is known where reading stands."""
        assignment = self._assignment()
        for tp in () if assignment is None else assignment.tps:
            if (state := assignment.state_value(tp)).has_valid_position:
                yield tp, state

    def _state(self, tp: TP) -> Any:
        """What the library knows of a partition; None for one that is not ours."""
        assignment = self._assignment()
        return None if assignment is None else assignment.state_value(tp)

    def _assignment(self) -> Any:
        subscription = self._ensure_consumer()._subscription.subscription
        return None if subscription is None else subscription.assignment

    def highwater(self, tp: TP) -> int:
        """Last stable offset: nothing behind it may be read yet."""
        return cast("int", self._ensure_consumer().last_stable_offset(tp))

    def behind(self, tp: TP) -> int:
        """The end of the last records that were handed on; 0 where none were and nothing was sought."""
        state = self._state(tp)
        spot = None if state is None else self._spots.get(state)
        return 0 if spot is None else spot.behind

    def empty(self, tp: TP, position: int) -> bool:
        """Whether a fetch younger than a second found no record behind ``position``."""
        state = self._state(tp)
        if state is None or state.lso is None or state.timestamp is None:
            return False
        spot = self._spots.get(state)
        read = spot is not None and position >= spot.behind and spot.position >= state.lso
        return bool(read and time() * 1000 - state.timestamp < FRESH_MS)


class BatchConsumer(Consumer):
    """Hands out batches; seeks to our positions, resumes what our slots can take, commits what they did."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._done: dict[TP, int] = {}
        self._read_offset = Forgotten()
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
        """Resume those whose slot can take records."""
        super().resume_partitions(self.ownership.readable(ensure_TPset(tps)))

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
