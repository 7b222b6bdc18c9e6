"""Reading ``dead.letters``."""

from collections.abc import Iterator
from typing import Any

from streams.config import Config
from streams.engine.errors import Unreadable
from streams.engine.reading import Range, Reader
from streams.engine.reading import place_of as message_place
from streams.engine.registry import Registry
from streams.engine.topics import full
from streams.ledger.letters import Filters, document, place_of

TOPIC = "dead.letters"


def listing(config: Config, filters: Filters) -> Iterator[dict[str, Any]]:
    """All dead letters that pass, in the form of ``letters.document``; in order within each partition.

    Raises:
        Away: Kafka or the registry does not answer.
        Misconfigured: the topic does not exist.
    """
    reader = Reader(config.kafka.client())
    places = reader.places([full(config.prefix, TOPIC)])
    ends = reader.ends(places)
    reader.settle(ends)
    starts = reader.starts(places)
    ranges = [Range(*place, starts[place], ends[place]) for place in places]
    for letter in _documents(config, reader, ranges):
        if filters.match(letter):
            yield letter


def show(config: Config, which: str) -> dict[str, Any] | None:
    """One dead letter by its id; None if there is none. Raises ValueError for what is no id, Away."""
    partition, offset = place_of(which)
    reader = Reader(config.kafka.client())
    place = (full(config.prefix, TOPIC), partition)
    if place not in reader.places([place[0]]):
        return None
    if not reader.starts([place])[place] <= offset < reader.stable([place])[place]:
        return None
    return next(_documents(config, reader, [Range(*place, offset, offset + 1)]), None)


def _documents(config: Config, reader: Reader, ranges: list[Range]) -> Iterator[dict[str, Any]]:
    registry = Registry.of(config)
    codec = registry.codec("dead_letter")
    for batch in reader.read(ranges):
        registry.learn_sync(message.value() or b"" for message in batch)
        for message in batch:
            (_, partition), offset = message_place(message)
            try:
                letter = codec.decode(message.value() or b"")
            except Unreadable:
                continue  # nothing of ours: whoever wrote it knows what it is
            yield document(partition, offset, letter)
