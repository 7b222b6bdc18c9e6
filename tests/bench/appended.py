"""Throughput as the log tells it: the broker's own dates on a topic's committed records."""

import time
from collections.abc import Sequence
from subprocess import Popen
from typing import Any, Final, NamedTuple

from streams.engine.reading import Range, Reader
from tests.bench.place import cpu_seconds

SKIPPED: Final = 0.2
"""The share of records before which nothing is measured: start, restore, and a JVM's warming up."""
POLL_S: Final = 0.25
PATIENCE_S: Final = 300.0


class Pace(NamedTuple):
    """How fast, and what it cost the writing processes. Time is shared on a busy machine, cost is not."""

    per_second: float
    cpu_us: float


def dates(reader: Reader, topic: str) -> list[int]:
    """Append times, ms, of all committed records, ascending."""
    places = reader.places([topic])
    starts, ends = reader.starts(places), reader.stable(places)
    ranges = [Range(*place, starts[place], ends[place]) for place in places]
    return sorted(message.timestamp()[1] for batch in reader.read(ranges) for message in batch)


def pace(
    reader: Reader, topic: str, expected: int, count: int, writers: Sequence["Popen[Any]"], first: str = ""
) -> Pace:
    """Wait until a topic holds the expected records.

    Args:
        reader: of the broker.
        topic: full name, stamped by the broker.
        first: of several hops the first one's topic, stamped too: who finishes one hop before he begins
            the next would look like the last hop alone. The clock starts there.
        expected: committed records when all is done.
        count: inputs that these come from.
        writers: the processes at work, for their cost and to notice their end.

    Raises:
        RuntimeError: the records did not come, or too many did.
    """
    deadline = time.monotonic() + PATIENCE_S
    first = first or topic
    places, entries = reader.places([topic]), reader.places([first])
    samples: list[tuple[int, float]] = []
    seen = -1
    while True:
        if any(writer.poll() is not None for writer in writers):
            raise RuntimeError(f"what writes {topic} has ended")
        stable = sum(reader.stable(places).values())
        if stable >= expected and stable == seen and len(found := dates(reader, topic)) >= expected:
            break
        if time.monotonic() > deadline:
            raise RuntimeError(f"{topic} stands at {stable} of {expected} after {PATIENCE_S:.0f} s")
        seen = stable
        begun = sum(reader.stable(entries).values())
        samples.append((begun, sum(cpu_seconds(writer.pid) for writer in writers)))
        time.sleep(POLL_S)
    if len(found) != expected:
        raise RuntimeError(f"{topic} has {len(found)} records, not {expected}")
    begun_at = dates(reader, first)[int(expected * SKIPPED)]
    seconds = max(found[-1] - begun_at, 1) / 1000
    return Pace(count * (1 - SKIPPED) / seconds, _cost(samples, count))


def _cost(samples: Sequence[tuple[int, float]], count: int) -> float:
    """CPU a record in µs, from the first hop's first sample behind the skipped share to the end."""
    end, spent = samples[-1]
    begin, before = next((sample for sample in samples if sample[0] > end * SKIPPED), samples[0])
    share = (end - begin) / end
    return (spent - before) / (count * share) * 1e6 if share else float("nan")
