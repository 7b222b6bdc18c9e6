"""``streams bridge``: a topic of Segment messages, as Segment's Kafka destination writes it, into the line.

The destination writes one message a record as JSON; keys and headers are its user's choice, so nothing is
read from them. Records, dead letters and the group's offsets are one transaction: whatever ends the process,
each record goes in exactly once. Several bridges of one group share the topic's partitions.
"""

import contextlib
import os
import secrets
import threading
import time
from typing import Final

import orjson
from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from streams.config import Config
from streams.engine.control import now_ms
from streams.engine.errors import Away, Misconfigured
from streams.engine.layout import RECORD_BYTES
from streams.engine.reading import place_of, quiet, translated
from streams.engine.registry import Registry
from streams.engine.slots import Slots
from streams.engine.telemetry import log
from streams.engine.topics import TOPICS, full
from streams.engine.transactions import TRANSACTION_TIMEOUT_MS, FirstRecords
from streams.gateway import bodies
from streams.gateway.bridge_watch import Watch
from streams.gateway.entry import Entry, invalid
from streams.gateway.foreign import Crossing, Foreign, behind
from streams.gateway.messages import Arrival
from streams.gateway.records import DEAD_LETTERS, EVENTS
from streams.ledger.reasons import Reason
from streams.segment import plan_files
from streams.segment.refusal import Refusal

STAGE: Final = "bridge"
AGAIN_S: Final = 1.0
TELL_S: Final = 60.0


def run(config: Config, crossing: Crossing, stop: threading.Event, watch: Watch) -> None:
    """Bridge until told to stop. What is away is waited for.

    Raises:
        Misconfigured: the topic does not exist or is one of the line's own, records were deleted before they
            were read, a schema or a slot is missing.
    """
    if crossing.topic in {full(config.prefix, name) for name in TOPICS}:
        raise Misconfigured(f"{crossing.topic} is a topic of the line itself")
    while not stop.is_set():
        try:
            with contextlib.closing(Bridge(config, crossing, watch)) as bridge:
                bridge.run(stop)
        except (Again, Away) as why:
            watch.joined = False
            log.warning("bridge_waits", why=why)
            stop.wait(AGAIN_S)


class Again(Exception):
    """The transaction failed or another process has its partitions now: begin anew from what is committed."""


class Bridge:
    """One member of the group and its producer."""

    def __init__(self, config: Config, crossing: Crossing, watch: Watch) -> None:
        self._config, self._crossing, self._watch = config, crossing, watch
        self._plan = plan_files.in_force(config)
        self._registry = Registry.of(config)
        self._registry.ready_sync(EVENTS, DEAD_LETTERS)
        slots = Slots.read(config)
        for space in crossing.spaces:
            slots.space(space)
        client = quiet(config.kafka.client())
        self._foreign = Foreign(client, crossing)
        # the group's generation fences zombies, so that each process has an id of its own
        self._producer = Producer(
            {
                **client,
                "transactional.id": f"{config.prefix}{STAGE}/{crossing.source}/{secrets.token_hex(8)}",
                "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
                "delivery.timeout.ms": TRANSACTION_TIMEOUT_MS - 2_000,
                "linger.ms": 5,
                "compression.type": "lz4",
                "message.max.bytes": RECORD_BYTES,
                "queue.buffering.max.messages": 1_000_000,
                "reconnect.backoff.max.ms": 1_000,
                "error_cb": self._heard,
            }
        )
        self._told = time.monotonic()
        self._lost = False

    def run(self, stop: threading.Event) -> None:
        """Cross until told to stop. Raises Again, Away, Misconfigured."""
        with translated():
            self._producer.init_transactions(30)
        self._foreign.join()
        log.info("bridge_started", topic=self._crossing.topic, group=self._crossing.group, pid=os.getpid())
        while not stop.is_set():
            batch = self._foreign.read()
            self._hear()
            if self._lost:
                raise Again("all brokers were away")
            if batch:
                self._cross(batch)
            self._watch.joined = self._foreign.dealt
            if self._watch.due():
                self._watch.behind(self._foreign.lags())
            if time.monotonic() - self._told > TELL_S:
                self._tell()
        self._tell()

    def close(self) -> None:
        """Leave the group. What is not committed is nobody's yet."""
        self._producer.purge()
        self._foreign.close()

    def _heard(self, error: KafkaError) -> None:
        """Such a producer may never end its next send_offsets_to_transaction (librdkafka issue 5456)."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - the library's public constant
            self._lost = True

    def _hear(self) -> None:
        try:
            self._producer.poll(0)
        except KafkaException as fatal:  # raised, where the callback for errors is not told
            raise Again(fatal.args[0].str()) from fatal

    def _tell(self) -> None:
        self._told = time.monotonic()
        watch = self._watch
        log.info("bridged", records=watch.records, events=watch.events, refused=watch.refused)

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
            with self._watch.over():
                self._write(entry, behind(batch))
        except KafkaException as raised:
            with contextlib.suppress(KafkaException):  # else it times out by itself
                self._producer.abort_transaction(2)
            error: KafkaError = raised.args[0]
            raise Again(error.str()) from raised
        self._watch.crossed(len(batch), refused)

    def _admit(self, entry: Entry, message: Message, now: int) -> bool:
        (topic, partition), offset = place_of(message)
        crossing = self._crossing
        trace_id = f"{topic}/{partition}/{offset}"
        bytes_ = self._config.gateway.max_event_bytes
        arrival = Arrival(crossing.source, crossing.spaces, now, trace_id, bytes_, self._plan)
        body = message.value()
        if body is None:
            entry.refuse(invalid("the record has no value"), b"", arrival, where=trace_id)
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
        limit, first = TRANSACTION_TIMEOUT_MS / 1000, FirstRecords()
        for topic, records in ((EVENTS, entry.events), (DEAD_LETTERS, entry.letters)):
            name = full(self._config.prefix, topic)
            for partition, key, value in records:
                self._produce(name, partition, key, value, first)
        first.settle(producer, limit)
        producer.send_offsets_to_transaction(offsets, self._foreign.consumer.consumer_group_metadata(), limit)
        producer.commit_transaction(limit)

    def _produce(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, first: FirstRecords
    ) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, partition, first.delivered)
            except BufferError:
                self._producer.poll(0.1)
            else:
                return
