"""Where records enter the line, and how far those that are missing came."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from confluent_kafka import Message

from streams.engine.errors import Unreadable
from streams.engine.reading import Range, Reader, place_of
from streams.engine.registry import Registry
from streams.engine.topics import full, line, twin
from streams.ledger.tally import Missing

FIRSTS = {"segment.events": "dedupe", "klaviyo.engagement": "identify"}
"""Where records enter, and the stage that reads them first."""
ENTRIES = {line(name): name for first in FIRSTS for name in (first, twin(first))}
"""``origin.line`` → logical topic."""
Decode = Callable[[bytes], dict[str, Any]]
_Record = tuple[str, int, int]
"""Line, partition, offset."""


def decoded(
    reader: Reader, registry: Registry, ranges: Iterable[Range], decode: Decode
) -> Iterator[tuple[Message, dict[str, Any]]]:
    """All records of the ranges that can be read; the others are not ours and tell nothing."""
    for batch in reader.read(ranges):
        registry.learn_sync(message.value() or b"" for message in batch)
        for message in batch:
            try:
                yield message, decode(message.value() or b"")
            except Unreadable:
                continue


def traced(
    reader: Reader, registry: Registry, prefix: str, missing: Sequence[Missing]
) -> list[dict[str, Any]]:
    """Each missing record with its space, its event id and the last stage that is known to have had it."""
    if not missing:
        return []
    wanted: dict[_Record, Missing] = {(each.line, each.partition, each.offset): each for each in missing}
    entered = _entered(reader, registry, prefix, wanted)
    seen = _seen(reader, registry, prefix, {key for key, each in wanted.items() if not each.last_stage})
    return [
        {
            "space": entered.get(key, {}).get("space"),
            "partition": each.partition,
            "offset": each.offset,
            "event_id": entered.get(key, {}).get("event_id"),
            "last_stage": each.last_stage or seen.get(key, "gateway"),
            "line": each.line,
        }
        for key, each in wanted.items()
    ]


def _entered(
    reader: Reader, registry: Registry, prefix: str, wanted: Iterable[_Record]
) -> dict[_Record, dict[str, Any]]:
    """The records as they entered, without their bodies."""
    found: dict[_Record, dict[str, Any]] = {}
    spans: dict[tuple[str, int], list[int]] = {}
    for entry, partition, offset in wanted:
        spans.setdefault((entry, partition), []).append(offset)
    for (entry, partition), offsets in spans.items():
        schema = "envelope" if entry.startswith("events") else "engagement"
        one = Range(full(prefix, ENTRIES[entry]), partition, min(offsets), max(offsets) + 1)
        for message, record in decoded(
            reader, registry, [one], registry.codec(schema).prefix(upto="event_id")
        ):
            found[(entry, partition, place_of(message)[1])] = record
    return found


def _seen(reader: Reader, registry: Registry, prefix: str, wanted: set[_Record]) -> dict[_Record, str]:
    """The last stage that passed these records on: all of its output is read, since nothing leads to them."""
    found: dict[_Record, str] = {}
    for name, stage in (("segment.unique", "dedupe"), ("profile.events", "identify")):
        places = reader.places([full(prefix, name), full(prefix, twin(name))]) if wanted else []
        starts, ends = reader.starts(places), reader.stable(places)
        ranges = [Range(*place, starts[place], ends[place]) for place in places]
        schema = "unique" if name == "segment.unique" else "profile_event"
        for _, record in decoded(reader, registry, ranges, registry.codec(schema).prefix(upto="origin")):
            origin = record["origin"]
            key = (origin["line"], origin["partition"], origin["offset"])
            if key in wanted:
                found[key] = stage
    return found
