"""Reading ranges of topics to their ends, outside of any consumer group: for audits, lists and control."""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from streams.engine.errors import Away, Misconfigured

Properties = dict[str, str | int | float | bool]
Place = tuple[str, int]
"""Real topic name and partition."""
PATIENCE_S = 30.0
ADVICE = "is `kafka.bootstrap` (STREAMS_KAFKA_BOOTSTRAP) right, does a broker run there?"
_NO_LEADER = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)
_REFUSED = (KafkaError.INVALID_REPLICATION_FACTOR, KafkaError.POLICY_VIOLATION)
"""A broker's answer that stays the same: it is there, and asking again does not help."""
_PASSING = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN)
"""Told while the library connects again by itself."""
_EARLIEST = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LATEST = OffsetSpec.latest()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Range:
    """Offsets ``start`` up to, not including, ``end``; some of them may hold no record."""

    topic: str
    partition: int
    start: int
    end: int


def place_of(message: Message) -> tuple[Place, int]:
    """Where a consumed record stands: its place and its offset."""
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    return (topic, partition), offset


def arrived(consumer: Consumer, most: int) -> Iterator[tuple[Message, bool]]:
    """What came within 50 ms: records, and with True where a partition ends. Raises KafkaException."""
    for message in consumer.consume(most, timeout=0.05):
        error = message.error()
        if error is None:
            yield message, False
        elif error.code() == KafkaError._PARTITION_EOF:
            yield message, True
        elif error.code() not in _PASSING:
            raise KafkaException(error)


@contextmanager
def translated() -> Iterator[None]:
    """confluent-kafka's errors as ours."""
    try:
        yield
    except KafkaException as error:
        found: KafkaError = error.args[0]
        if found.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):
            raise Misconfigured(f"{found.str()}: run `streams topics apply`") from error
        if found.code() in _REFUSED:
            raise Misconfigured(f"Kafka refuses: {found.str()} (`replication:`, `partitions:`)") from error
        raise Away(f"Kafka does not answer: {found.str()}; {ADVICE}") from error


def quiet(client: Mapping[str, str | int]) -> Properties:
    """Client properties for commands: librdkafka keeps its connection chatter off stderr."""
    return {"log_level": 2, "socket.connection.setup.timeout.ms": 5000, **client}


def reading(client: Mapping[str, str | int] | Properties) -> Properties:
    """Properties of a consumer of committed records that commits nothing."""
    return {
        **client,
        "group.id": "streams-reading",  # required by the library, never joined
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "queued.max.messages.kbytes": 65536,
    }


class Reader:
    """Bounds and records of topics, committed ones only.

    Args:
        client: librdkafka's properties for reaching the brokers.
    """

    def __init__(self, client: Mapping[str, str | int]) -> None:
        self._client = quiet(client)
        self._admin = AdminClient(self._client)

    def places(self, topics: Iterable[str]) -> list[Place]:
        """All partitions of these topics. Raises Misconfigured if one does not exist."""
        wanted = list(topics)
        with translated():
            asked = self._admin.describe_topics(TopicCollection(wanted), request_timeout=10)
            found = {name: future.result(timeout=PATIENCE_S) for name, future in asked.items()}
            return [(name, part.id) for name in wanted for part in found[name].partitions]

    def identity(self, topic: str) -> str:
        """Its name and the id that the cluster gave it: made anew it has another. Raises Misconfigured."""
        with translated():
            (asked,) = self._admin.describe_topics(TopicCollection([topic]), request_timeout=10).values()
            return f"{topic}/{asked.result(timeout=PATIENCE_S).topic_id}"

    def starts(self, places: Iterable[Place]) -> dict[Place, int]:
        """The first offset kept."""
        return self._offsets(places, _EARLIEST, IsolationLevel.READ_UNCOMMITTED)

    def since(self, places: Iterable[Place], at: int) -> dict[Place, int]:
        """The first offset whose record arrived at or after ``at`` (ms); the end where none did."""
        wanted = list(places)
        found = self._offsets(wanted, OffsetSpec.for_timestamp(at), IsolationLevel.READ_UNCOMMITTED)
        ends = self.ends([place for place, offset in found.items() if offset < 0])
        return found | ends

    def ends(self, places: Iterable[Place]) -> dict[Place, int]:
        """High watermarks: the next offset to be written, open transactions counted."""
        return self._offsets(places, _LATEST, IsolationLevel.READ_UNCOMMITTED)

    def stable(self, places: Iterable[Place]) -> dict[Place, int]:
        """Last stable offsets: all before are decided."""
        return self._offsets(places, _LATEST, IsolationLevel.READ_COMMITTED)

    def settle(self, ends: Mapping[Place, int], patience_s: float = PATIENCE_S) -> None:
        """Wait until everything before these ends is decided. Raises Away if a transaction stays open."""
        deadline = time.monotonic() + patience_s
        while open_ones := [place for place, end in self.stable(ends).items() if end < ends[place]]:
            if time.monotonic() > deadline:
                raise Away(f"a transaction stays open on {open_ones[0]}")
            time.sleep(0.05)

    def read(self, ranges: Iterable[Range]) -> Iterator[list[Message]]:
        """The committed records of settled ranges, in batches, in order within each partition.

        Raises:
            Away: nothing arrives for 30 s.
        """
        left = {(r.topic, r.partition): r for r in ranges if r.start < r.end}
        if not left:
            return
        consumer = Consumer(reading(self._client) | {"enable.partition.eof": True, "fetch.wait.max.ms": 20})
        try:
            with translated():
                consumer.assign([TopicPartition(r.topic, r.partition, r.start) for r in left.values()])
                yield from _until_ends(consumer, left)
        finally:
            consumer.close()

    def _offsets(self, places: Iterable[Place], spec: OffsetSpec, level: IsolationLevel) -> dict[Place, int]:
        asked = {TopicPartition(topic, partition): spec for topic, partition in places}
        deadline = time.monotonic() + PATIENCE_S
        found: dict[Place, int] = {}
        while asked:
            with translated():
                answers = self._admin.list_offsets(asked, isolation_level=level, request_timeout=10)
                for place, answer in answers.items():
                    try:
                        found[(place.topic, place.partition)] = answer.result(timeout=PATIENCE_S).offset
                    except KafkaException as error:
                        # a partition that is new or moves has no leader for a moment
                        if error.args[0].code() not in _NO_LEADER or time.monotonic() > deadline:
                            raise
            asked = {place: spec for place in asked if (place.topic, place.partition) not in found}
            if asked:
                time.sleep(0.05)
        return found


def _until_ends(consumer: Consumer, left: dict[Place, Range]) -> Iterator[list[Message]]:
    """Batches until each range is read; a partition's end comes as an event, past transaction markers too."""
    deadline = time.monotonic() + PATIENCE_S
    while left:
        records: list[Message] = []
        for message, ends in arrived(consumer, 10_000):
            deadline = time.monotonic() + PATIENCE_S
            place, offset = place_of(message)
            wanted = left.get(place)
            if wanted is None:
                continue
            if not ends and offset < wanted.end:
                records.append(message)
            if offset + (not ends) >= wanted.end:
                del left[place]
                consumer.incremental_unassign([TopicPartition(*place)])
        if records:
            yield records
        elif time.monotonic() > deadline:
            raise Away(f"Kafka: nothing arrives of {next(iter(left))}")
