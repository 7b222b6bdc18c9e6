"""The control topic: facts that every process must know, such as slot numbers and paused lanes."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Self

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from streams.config import Config
from streams.engine.codec import Codec
from streams.engine.errors import Away, Misconfigured, Unreadable
from streams.engine.reading import PATIENCE_S, Range, Reader, quiet, reading, translated
from streams.engine.registry import Registry
from streams.engine.telemetry import log
from streams.engine.topics import full

TOPIC = "control"
LOOK_S = 0.25
Key = tuple[str, str]
"""Kind and name."""


@dataclass(frozen=True, slots=True)
class Control:
    """One fact (``avro/control.avsc``); ``at`` in milliseconds since the epoch."""

    kind: str
    name: str
    number: int | None = None
    reason: str | None = None
    at: int = 0
    detail: str | None = None


def key_bytes(kind: str, name: str) -> bytes:
    """The record's key."""
    return f"{kind}/{name}".encode()


def fold(facts: dict[Key, Control], codec: Codec, key: bytes | None, value: bytes | None) -> None:
    """Take in one record of the topic; a record without value takes its fact back. Raises Unreadable."""
    kind, _, name = (key or b"").decode(errors="replace").partition("/")
    if value is None:
        facts.pop((kind, name), None)
    else:
        facts[(kind, name)] = Control(**codec.decode(value))


def read_control(config: Config) -> dict[Key, Control]:
    """All facts as of now. Raises Away, or Misconfigured if the topic does not exist yet."""
    return _read(config, Registry.of(config))[0]


def write_control(config: Config, facts: Mapping[Key, Control | None]) -> None:
    """Write facts, or take them back (None); returns when they are kept. Raises Away."""
    registry = Registry.of(config)
    registry.ready_sync(TOPIC)
    codec = registry.codec(TOPIC)
    failed: list[KafkaError | None] = []

    def told(error: KafkaError | None, message: Message) -> None:
        if error is not None or message.offset() is None:  # see ``transactions.FirstRecords``
            failed.append(error)

    with translated():
        producer = Producer(quiet(config.kafka.client()) | {"acks": "all", "enable.idempotence": True})
        for (kind, name), fact in facts.items():
            producer.produce(
                full(config.prefix, TOPIC),
                key=key_bytes(kind, name),
                value=None if fact is None else codec.encode(asdict(fact)),
                on_delivery=told,
            )
        undelivered = producer.flush(PATIENCE_S)
    if failed or undelivered:
        raise Away(f"Kafka did not take the change: {(failed and failed[0]) or 'no answer'}")


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class ControlTail:
    """The facts, kept up to date within a second for as long as the context is open; one a process."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._registry = Registry.of(config)
        self._following: asyncio.Task[None] | None = None
        self.facts: dict[Key, Control] = {}

    async def __aenter__(self) -> Self:
        """Read the topic to its end. Raises Away, Misconfigured."""
        self.facts, end = await asyncio.to_thread(_read, self._config, self._registry)
        self._following = asyncio.create_task(self._follow(end))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)

    def paused(self, account: str, lane: str) -> str | None:
        """Why the lane is paused; None if it is not."""
        fact = self.facts.get(("pause", f"{account}/{lane}"))
        return None if fact is None else fact.reason or ""

    async def _follow(self, end: int) -> None:
        """Take in what arrives; a look costs microseconds, since librdkafka fetches in its own thread."""
        codec = self._registry.codec(TOPIC)
        consumer = Consumer(reading(quiet(self._config.kafka.client())))
        try:
            consumer.assign([TopicPartition(full(self._config.prefix, TOPIC), 0, end)])
            while True:
                messages = [m for m in consumer.consume(1000, timeout=0) if m.error() is None]
                await self._registry.learn(value for m in messages if (value := m.value()) is not None)
                for message in messages:
                    self._take(codec, message)
                await asyncio.sleep(LOOK_S)
        finally:
            consumer.close()

    def _take(self, codec: Codec, message: Message) -> None:
        """What is none of ours is left out: what comes behind it must be heard, such as a pause."""
        try:
            fold(self.facts, codec, message.key(), message.value())
        except Unreadable as why:
            log.error("control_unreadable", offset=message.offset(), why=why)


def _read(config: Config, registry: Registry) -> tuple[dict[Key, Control], int]:
    reader = Reader(config.kafka.client())
    (place,) = reader.places([full(config.prefix, TOPIC)])
    end = reader.ends([place])[place]
    reader.settle({place: end})
    start = reader.starts([place])[place]
    facts: dict[Key, Control] = {}
    codec = registry.codec(TOPIC)
    for batch in reader.read([Range(*place, start, end)]):
        registry.learn_sync(value for m in batch if (value := m.value()) is not None)
        for message in batch:
            try:
                fold(facts, codec, message.key(), message.value())
            except Unreadable as why:  # a number that is not known would be given a second time
                raise Misconfigured(
                    f"{place[0]}, offset {message.offset()}: {why}. Is it the registry that the line was set "
                    "up with? A record of somebody else's is taken back by one of its key without value."
                ) from why
    return facts, end
