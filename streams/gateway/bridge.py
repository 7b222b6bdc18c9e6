"""``streams bridge``: a topic of Segment messages, as Segment's Kafka destination writes it, into the line.

The destination writes one message a record as JSON; keys and headers are its user's choice, so nothing is read
from them. Records, dead letters and the group's offsets are one transaction: whatever ends the process, each
record goes in exactly once. Several bridges of one group share the topic's partitions.
"""

import contextlib
import secrets
import signal
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

import orjson
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from streams.config import Config
from streams.engine.control import now_ms
from streams.engine.errors import Away, Misconfigured
from streams.engine.reading import Place, place_of, quiet, translated
from streams.engine.registry import Registry
from streams.engine.slots import Slots
from streams.engine.telemetry import log
from streams.engine.topics import TOPICS, full, logical
from streams.engine.transactions import TRANSACTION_TIMEOUT_MS
from streams.gateway import bodies
from streams.gateway.entry import Entry
from streams.gateway.messages import Arrival, Refusal
from streams.gateway.records import DEAD_LETTERS, EVENTS
from streams.ledger.reasons import Reason

STAGE: Final = "bridge"
BATCH: Final = 2_000
BATCH_BYTES: Final = 8_000_000
LOOK_S: Final = 0.2
"""How long it waits for a first record: how soon it hears that it is to stop, too."""
AGAIN_S: Final = 1.0
SESSION_MS: Final = 10_000
TELL_S: Final = 60.0
STOP_S: Final = 4.0
_OTHERS_THERE: Final = frozenset(
    {KafkaError.UNKNOWN_MEMBER_ID, KafkaError.ILLEGAL_GENERATION, KafkaError.REBALANCE_IN_PROGRESS}
)
"""The group has members: whoever joined first has said where it begins."""
From = Literal["earliest", "latest"]


@dataclass(frozen=True, slots=True)
class Crossing:
    """What is bridged: topic (its name on the broker), group, source and its spaces, where a group begins."""

    topic: str
    group: str
    source: str
    spaces: tuple[str, ...]
    begin: From = "earliest"


def serve(config: Config, crossing: Crossing) -> None:
    """Run until SIGTERM or SIGINT; ends within 5 s even where brokers are away. Raises as `run`."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    failed: list[Exception] = []

    def work() -> None:
        try:
            run(config, crossing, stop)
        except Exception as error:
            failed.append(error)

    # librdkafka's calls don't end at a signal: they run apart, and what hangs is left behind, uncommitted
    worker = threading.Thread(target=work, name="bridge", daemon=True)
    worker.start()
    while worker.is_alive() and not stop.is_set():
        worker.join(LOOK_S)
    worker.join(STOP_S)
    if failed:
        raise failed[0]


def run(config: Config, crossing: Crossing, stop: threading.Event) -> None:
    """Bridge until told to stop. What is away is waited for.

    Raises:
        Misconfigured: the topic does not exist or is one of the line's own, records were deleted before they
            were read, a schema or a slot is missing.
    """
    if logical(config.prefix, crossing.topic) in TOPICS:
        raise Misconfigured(f"{crossing.topic} is a topic of the line itself")
    bridge: Bridge | None = None
    while not stop.is_set():
        try:
            bridge = Bridge(config, crossing)
            bridge.run(stop)
        except Again as again:
            log.warning("bridge_again", why=again)
        except Away as away:
            log.warning("waiting", why=away)
            stop.wait(AGAIN_S)
        finally:
            if bridge is not None:
                bridge.close()
                bridge = None


class Again(Exception):
    """The transaction failed or another process has its partitions now: begin anew from what is committed."""


@dataclass(slots=True)
class Counts:
    """Of this process."""

    records: int = 0
    events: int = 0
    refused: int = 0


@dataclass(slots=True)
class _Held:
    """Records read and not committed yet; a partition that is taken away takes its own with it."""

    messages: list[Message] = field(default_factory=list)
    size: int = 0

    def add(self, message: Message) -> None:
        self.messages.append(message)
        self.size += len(message.value() or b"")

    def drop(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Whoever has them next reads them again."""
        gone = {(each.topic, each.partition) for each in partitions}
        self.messages = [each for each in self.messages if place_of(each)[0] not in gone]

    def take(self) -> list[Message]:
        taken, self.messages, self.size = self.messages, [], 0
        return taken


class Bridge:
    """One member of the group and its producer."""

    def __init__(self, config: Config, crossing: Crossing) -> None:
        self._config, self._crossing = config, crossing
        self._registry = Registry.of(config)
        self._registry.ready_sync(EVENTS, DEAD_LETTERS)
        slots = Slots.read(config)
        for space in crossing.spaces:
            slots.space(space)
        client = quiet(config.kafka.client())
        self._consumer = Consumer(
            {
                **client,
                "group.id": crossing.group,
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "auto.offset.reset": "error",  # a jump over deleted records is never silent
                "partition.assignment.strategy": "range",
                "session.timeout.ms": SESSION_MS,
                "queued.max.messages.kbytes": 65_536,
            }
        )
        # the group's generation fences zombies, so that each process has an id of its own
        self._producer = Producer(
            {
                **client,
                "transactional.id": f"{config.prefix}{STAGE}/{crossing.source}/{secrets.token_hex(8)}",
                "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
                "delivery.timeout.ms": TRANSACTION_TIMEOUT_MS - 2_000,
                "linger.ms": 5,
                "compression.type": "lz4",
                "queue.buffering.max.messages": 1_000_000,
            }
        )
        self._held = _Held()
        self._counts, self._told = Counts(), time.monotonic()

    def run(self, stop: threading.Event) -> None:
        """Cross until told to stop. Raises Again, Away, Misconfigured."""
        with translated():
            self._producer.init_transactions(30)
            begin_where_told(self._consumer, self._crossing)
            self._consumer.subscribe(
                [self._crossing.topic],
                on_assign=self._assigned,
                on_revoke=self._held.drop,
                on_lost=self._held.drop,
            )
        log.info("bridge_started", topic=self._crossing.topic, group=self._crossing.group)
        while not stop.is_set():
            batch = self._read()
            if batch:
                self._cross(batch)
            if time.monotonic() - self._told > TELL_S:
                self._tell()
        self._tell()

    def close(self) -> None:
        """Leave the group. What is not committed is nobody's yet."""
        self._producer.purge()
        self._consumer.close()

    def _tell(self) -> None:
        self._told = time.monotonic()
        counts = self._counts
        log.info("bridged", records=counts.records, events=counts.events, refused=counts.refused)

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """From what is committed; a partition without was added since, and begins at its beginning."""
        for each in consumer.committed(partitions, timeout=30):
            if each.error is not None:
                raise KafkaException(each.error)
            place = next(p for p in partitions if p.partition == each.partition)
            place.offset = each.offset if each.offset >= 0 else consumer.get_watermark_offsets(place, 10)[0]
        consumer.assign(partitions)
        log.info("bridge_assigned", partitions=sorted(each.partition for each in partitions))

    def _read(self) -> list[Message]:
        """What is there, up to a batch; one by one, since a rebalance between two takes records back."""
        timeout = LOOK_S
        with translated():
            while len(self._held.messages) < BATCH and self._held.size < BATCH_BYTES:
                message = self._consumer.poll(timeout)
                if message is None:
                    break
                error = message.error()
                if error is not None:
                    raise self._why(error)
                self._held.add(message)
                timeout = 0
        return self._held.take()

    def _why(self, error: KafkaError) -> Exception:
        crossing = self._crossing
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            return Misconfigured(
                f"retention took what group {crossing.group} would read next of {crossing.topic}: set the "
                "group's offsets with Kafka's own tool, or take another --group"
            )
        if error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):
            return Misconfigured(f"there is no topic {crossing.topic} any more")
        return KafkaException(error)

    def _cross(self, batch: list[Message]) -> None:
        entry = Entry(
            STAGE,
            self._registry.codec("envelope"),
            self._registry.codec("dead_letter"),
            self._config.partitions,
        )
        now = now_ms()
        refused = sum(not self._admit(entry, message, now) for message in batch)
        try:
            self._write(entry, _behind(batch))
        except KafkaException as raised:
            with contextlib.suppress(KafkaException):  # else it times out by itself
                self._producer.abort_transaction(2)
            error: KafkaError = raised.args[0]
            raise Again(error.str()) from raised
        self._counts.records += len(batch)
        self._counts.events += len(batch) - refused
        self._counts.refused += refused

    def _admit(self, entry: Entry, message: Message, now: int) -> bool:
        (topic, partition), offset = place_of(message)
        crossing = self._crossing
        trace_id = f"{topic}/{partition}/{offset}"
        arrival = Arrival(
            crossing.source, crossing.spaces, now, trace_id, self._config.gateway.max_event_bytes
        )
        body = message.value()
        if body is None:
            body, found = b"", Refusal(Reason.INVALID_MESSAGE, "the record has no value")
            entry.refuse(found, body, arrival, where=trace_id)
            return False
        try:
            value = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            entry.refuse(Refusal(Reason.INVALID_JSON, f"not JSON: {error}"), body, arrival, where=trace_id)
            return False
        if isinstance(value, dict) and "writeKey" in value:
            del value["writeKey"]
            body = bodies.piece(value, sound=True).body
        return entry.admit(value, body, arrival, where=trace_id) is None

    def _write(self, entry: Entry, offsets: list[TopicPartition]) -> None:
        producer = self._producer
        producer.begin_transaction()
        for topic, records in ((EVENTS, entry.events), (DEAD_LETTERS, entry.letters)):
            name = full(self._config.prefix, topic)
            for partition, key, value in records:
                self._produce(name, partition, key, value)
        limit = TRANSACTION_TIMEOUT_MS / 1000
        producer.send_offsets_to_transaction(offsets, self._consumer.consumer_group_metadata(), limit)
        producer.commit_transaction(limit)

    def _produce(self, topic: str, partition: int, key: bytes | None, value: bytes | None) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, partition)
            except BufferError:
                self._producer.poll(0.1)
            else:
                return


def _behind(batch: Iterable[Message]) -> list[TopicPartition]:
    """The offsets behind a batch."""
    ends: dict[Place, int] = {}
    for message in batch:
        place, offset = place_of(message)
        ends[place] = offset + 1
    return [TopicPartition(*place, end) for place, end in ends.items()]


def begin_where_told(consumer: Consumer, crossing: Crossing) -> None:
    """Commit where a new group begins, for all partitions at once; a group that has begun stays as it is.

    So ``latest`` means the moment of the first start, whenever each partition gets its first record.

    Raises:
        Misconfigured: there is no such topic.
        KafkaException: the brokers don't answer.
    """
    found = consumer.list_topics(crossing.topic, timeout=10).topics[crossing.topic]
    if found.error is not None or not found.partitions:
        raise Misconfigured(f"there is no topic {crossing.topic} on this cluster")
    places = [TopicPartition(crossing.topic, partition) for partition in found.partitions]
    if any(each.offset >= 0 for each in consumer.committed(places, timeout=30)):
        return
    for place in places:
        low, high = consumer.get_watermark_offsets(place, timeout=10)
        place.offset = low if crossing.begin == "earliest" else high
    try:
        consumer.commit(offsets=places, asynchronous=False)
    except KafkaException as raised:
        if raised.args[0].code() not in _OTHERS_THERE:
            raise
