"""The thread that fetches: aiokafka's consumer, and of each partition where reading stands."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from time import time
from typing import Any, Final, NamedTuple, cast
from weakref import WeakKeyDictionary

import aiokafka
from aiokafka.errors import IllegalStateError, NoOffsetForPartitionError, OffsetOutOfRangeError
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.types import TP

from streams.engine.errors import StateMismatch
from streams.engine.inbox import Fetched

FETCH_WAIT_MS: Final = 500
FETCH_BYTES: Final = 4 << 20
POLL_RECORDS: Final = 1000
"""Unpacked from a fetch at a time: packed ones may be many times as large, and are counted then."""
FRESH_MS: Final = 1_000


class Spot(NamedTuple):
    """Where reading stands: behind the last record, and behind the transaction markers after it, too."""

    behind: int
    position: int


class BatchThread(AIOKafkaConsumerThread):
    """Hands on all that it fetched, each part with the offset it began at."""

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
            **cast("Any", self.transport).connection,
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

    def look_again(self) -> None:
        """Let a fetch that waits look at what has been fetched already: more of it may be handed on now."""
        with suppress(RuntimeError):  # the thread has ended: nothing is fetched any more
            self.thread_loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        fetcher = self._ensure_consumer()._fetcher
        for waiter in fetcher._fetch_waiters:
            fetcher._notify(waiter)

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
