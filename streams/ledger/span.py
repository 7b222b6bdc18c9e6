"""Reading what a topic got since a moment."""

from collections.abc import Iterator
from typing import Any

from confluent_kafka import Message

from streams.config import Config
from streams.engine.errors import Unreadable
from streams.engine.reading import Range, Reader
from streams.engine.registry import Registry
from streams.engine.topics import TOPICS, full


def span(config: Config, topic: str, since: int) -> Iterator[tuple[Message, dict[str, Any]]]:
    """The records that arrived in a topic (its logical name) from ``since`` (ms) on, in order by partition.

    What no schema of ours can read is left out: it is a dead letter of whoever was to read it.

    Raises:
        Away: Kafka or the registry does not answer.
        Misconfigured: the topic does not exist.
    """
    schema = TOPICS[topic].schema
    if schema is None:
        raise ValueError(f"{topic} has no schema")
    reader = Reader(config.kafka.client())
    places = reader.places([full(config.prefix, topic)])
    ends = reader.ends(places)
    reader.settle(ends)
    starts = reader.since(places, since)
    ranges = [Range(*place, starts[place], ends[place]) for place in places]
    registry = Registry.of(config)
    codec = registry.codec(schema)
    for batch in reader.read(ranges):
        registry.learn_sync(message.value() or b"" for message in batch)
        for message in batch:
            try:
                yield message, codec.decode(message.value() or b"")
            except Unreadable:
                continue
