"""Reading ``dead.letters``."""

from collections.abc import Collection, Iterator
from typing import Any

from streams.config import Config
from streams.engine.control import read_control
from streams.engine.errors import Unreadable
from streams.engine.reading import Range, Reader
from streams.engine.reading import place_of as message_place
from streams.engine.registry import Registry
from streams.engine.topics import full
from streams.ledger.letters import Filters, document, place_of
from streams.ledger.marks import Letter, Marks

TOPIC = "dead.letters"
CLOCKS_MS = 3_600_000
"""How far the clocks of whoever wrote a letter and of the broker may be apart."""


def listing(config: Config, filters: Filters) -> Iterator[dict[str, Any]]:
    """All dead letters that pass, in the form of ``letters.document``; in order within each partition.

    Raises:
        Away: Kafka or the registry does not answer.
        Misconfigured: the topic does not exist.
    """
    marks = Marks.of(read_control(config).values())
    reader = Reader(config.kafka.client())
    for (partition, offset), letter in read(config, bounds(config, reader, filters.since), reader):
        if filters.match(letter):
            yield document(partition, offset, letter, marks.find((partition, offset)))


def show(config: Config, which: str) -> dict[str, Any] | None:
    """One dead letter by its id; None if there is none. Raises ValueError for what is no id, Away."""
    wanted = place_of(which)
    marks = Marks.of(read_control(config).values())
    reader = Reader(config.kafka.client())
    ranges = among([wanted], bounds(config, reader))
    for (partition, offset), letter in read(config, ranges, reader):
        return document(partition, offset, letter, marks.find((partition, offset)))
    return None


def bounds(config: Config, reader: Reader, since: int | None = None) -> list[Range]:
    """The topic as of now, settled; without what was surely said before ``since`` (ms).

    Raises:
        Away: Kafka does not answer.
        Misconfigured: the topic does not exist.
    """
    places = reader.places([full(config.prefix, TOPIC)])
    ends = reader.ends(places)
    reader.settle(ends)
    starts = reader.starts(places) if since is None else reader.since(places, since - CLOCKS_MS)
    return [Range(*place, min(starts[place], ends[place]), ends[place]) for place in places]


def among(letters: Collection[Letter], ranges: list[Range]) -> list[Range]:
    """The parts of the ranges in which these letters stand."""
    found = []
    for each in ranges:
        own = [o for p, o in letters if p == each.partition and each.start <= o < each.end]
        if own:
            found.append(Range(each.topic, each.partition, min(own), max(own) + 1))
    return found


def read(config: Config, ranges: list[Range], reader: Reader) -> Iterator[tuple[Letter, dict[str, Any]]]:
    """Dead letters as their schema has them, each with its place.

    What can't be read is nothing of ours: whoever wrote it knows what it is.
    """
    registry = Registry.of(config)
    codec = registry.codec("dead_letter")
    for batch in reader.read(ranges):
        registry.learn_sync(message.value() or b"" for message in batch)
        for message in batch:
            (_, partition), offset = message_place(message)
            try:
                letter = codec.decode(message.value() or b"")
            except Unreadable:
                continue
            yield (partition, offset), letter
