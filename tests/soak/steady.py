"""So many events a second for minutes: fifty go each by itself, 2,500 in bulk, and memory stays flat."""

import statistics
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from tests.bench.place import Place
from tests.line import eventually
from tests.soak.kept import kept
from tests.soak.place import Feed, Line, line, memory_mb
from tests.soak.results import Row

RATE = 50.0
BULK_RATE = 2_500.0
WARM_S = 10.0
GROWTH = 5.0
"""MB, without the stores' write buffer, which has a bound, fills in some minutes, and is written out."""
BULK_GROWTH = 16.0
"""MB: at all that Klaviyo takes the lane's queue grows, too, up to 64 MB; at 2,350 a second it does not."""
BUFFER: Final = "streams_store_buffer_bytes"
SPAN_S = 30.0
"""Of the first and the last so many seconds the memory is compared."""


def delays(at: Line, began: float, ended: float) -> list[float]:
    """Milliseconds from an event's acceptance to its arrival at Klaviyo by itself, ascending."""
    calls = [request for request in at.klaviyo.requests("events") if request["path"] == "/api/events"]
    timed = [call for call in calls if began <= call["at"] < ended]
    return sorted(call["at"] * 1000 - _accepted_ms(call["body"]) for call in timed)


def _accepted_ms(body: dict[str, Any]) -> float:
    when: str = body["data"]["attributes"]["time"]
    return datetime.fromisoformat(when).timestamp() * 1000


def run(place: Place, seconds: float | None, rows: int) -> list[Row]:
    """Two minutes of single calls."""
    with line(place, 50) as at:
        found, feed, span = _sustained("steady", at, RATE, seconds, GROWTH)
        waits = delays(at, *span)
        note = f"of {len(waits)} single calls, {feed.count} events"
        found.append(Row("steady.p50", round(waits[len(waits) // 2]), 50, "ms", note=note))
        found.append(Row("steady.p99", round(waits[len(waits) * 99 // 100]), 1000, "ms"))
        return [*found, *kept("steady", at)]


def run_bulk(place: Place, seconds: float | None, rows: int) -> list[Row]:
    """Two minutes of as many events as all of Klaviyo's bulk calls carry."""
    with line(place, 50) as at:
        found, _, span = _sustained("bulk", at, BULK_RATE, seconds, BULK_GROWTH)
        began, ended = span
        sizes = [(call["at"], call["recorded"]) for call in at.klaviyo.requests("events")]
        rate = sum(count for when, count in sizes if began <= when < ended) / (ended - began)
        note = f"{len(sizes)} calls"
        found.append(Row("bulk.rate", round(rate), 0.99 * BULK_RATE, "/s", least=True, note=note))
        return [*found, *kept("bulk", at)]


class Memory(NamedTuple):
    """Of a process, MB: what is resident, and what of it the stores hold back before they write it."""

    resident: float
    buffered: float

    @classmethod
    def mean(cls, samples: Sequence["Memory"]) -> "Memory":
        """Of several looks."""
        return cls(*map(statistics.fmean, zip(*samples, strict=True)))

    def __str__(self) -> str:
        return f"{self.resident:.1f} MB ({self.buffered:.1f} of it buffered)"


def _sustained(
    name: str, at: Line, rate: float, seconds: float | None, most: float
) -> tuple[list[Row], Feed, tuple[float, float]]:
    """Feed at a rate and watch the memory: rows, what was fed, and from when to when (epoch seconds)."""
    length = max(seconds or 120.0, 2 * SPAN_S)
    worker = at.worker()
    feed = at.feed("events", rate)
    eventually(lambda: at.klaviyo.ask("stats")["requests"])
    warm = time.monotonic() + WARM_S
    began = time.time() + WARM_S
    samples: list[tuple[float, Memory]] = []
    while (now := time.monotonic()) < warm + length:
        samples.append((now - warm, Memory(memory_mb(worker.pid), at.gauge(BUFFER) / 2**20)))
        time.sleep(1)
    feed.stop()
    first = Memory.mean([seen for when, seen in samples if 0 <= when < SPAN_S])
    last = Memory.mean([seen for when, seen in samples if when >= length - SPAN_S])
    growth = last.resident - first.resident - (last.buffered - first.buffered)
    note = f"{first} → {last}"
    found = [
        Row(f"{name}.memory", round(growth, 1), most, "MB", note=note),
        Row(f"{name}.http_429", at.klaviyo.refused(), 0),
    ]
    return found, feed, (began, began + length)
