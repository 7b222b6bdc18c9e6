"""The control topic: facts that every process must know, such as slot numbers and paused lanes."""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Self

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from streams.config import Config
from streams.engine.codec import Codec
from streams.engine.errors import Away
from streams.engine.reading import PATIENCE_S, Range, Reader, quiet, reading, translated
from streams.engine.registry import Registry
from streams.engine.topics import full

TOPIC = "control"
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
    """Take in one record of the topic; a record without value takes its fact back."""
    kind, _, name = (key or b"").decode().partition("/")
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
    failed: list[KafkaError] = []
    with translated():
        producer = Producer(quiet(config.kafka.client()) | {"acks": "all", "enable.idempotence": True})
        for (kind, name), fact in facts.items():
            producer.produce(
                full(config.prefix, TOPIC),
                key=key_bytes(kind, name),
                value=None if fact is None else codec.encode(asdict(fact)),
                on_delivery=lambda error, _: failed.append(error) if error else None,
            )
        undelivered = producer.flush(PATIENCE_S)
    if failed or undelivered:
        raise Away(f"Kafka did not take the change: {failed[0] if failed else 'no answer'}")


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class ControlTail:
    """The facts, kept up to date: open it once a process, poll it often, which costs microseconds."""

    def __init__(self, config: Config, registry: Registry) -> None:
        self._config = config
        self._registry = registry
        self._consumer: Consumer | None = None
        self.facts: dict[Key, Control] = {}

    @classmethod
    async def open(cls, config: Config, registry: Registry) -> Self:
        """Read the topic to its end. Raises Away, Misconfigured."""
        tail = cls(config, registry)
        tail.facts, end = await asyncio.to_thread(_read, config, registry)
        tail._consumer = consumer = Consumer(reading(config.kafka.client()))
        consumer.assign([TopicPartition(full(config.prefix, TOPIC), 0, end)])
        return tail

    async def poll(self) -> bool:
        """Take in what has arrived since; True if something has. Never waits for the broker."""
        if self._consumer is None:
            return False
        messages = [m for m in self._consumer.consume(1000, timeout=0) if m.error() is None]
        if messages:
            await self._registry.learn(value for m in messages if (value := m.value()) is not None)
            codec = self._registry.codec(TOPIC)
            for message in messages:
                fold(self.facts, codec, message.key(), message.value())
        return bool(messages)

    def paused(self, account: str, lane: str) -> str | None:
        """Why the lane is paused; None if it is not."""
        fact = self.facts.get(("pause", f"{account}/{lane}"))
        return None if fact is None else fact.reason or ""

    def close(self) -> None:
        """Let go of the connection."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            with contextlib.suppress(RuntimeError):
                consumer.close()


def _read(config: Config, registry: Registry) -> tuple[dict[Key, Control], int]:
    reader = Reader(config.kafka.client())
    place = (full(config.prefix, TOPIC), 0)
    end = reader.ends([place])[place]
    reader.settle({place: end})
    start = reader.starts([place])[place]
    facts: dict[Key, Control] = {}
    codec = registry.codec(TOPIC)
    for batch in reader.read([Range(*place, start, end)]):
        registry.learn_sync(value for m in batch if (value := m.value()) is not None)
        for message in batch:
            fold(facts, codec, message.key(), message.value())
    return facts, end
