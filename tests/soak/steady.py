"""So many events a second for minutes: fifty go each by itself, 2,500 in bulk, and memory stays flat."""

import statistics
import time
from datetime import datetime
from typing import Any

from tests.bench.place import Place
from tests.line import eventually
from tests.soak.kept import kept
from tests.soak.place import Feed, Line, line, memory_mb
from tests.soak.results import Row

RATE = 50.0
BULK_RATE = 2_500.0
WARM_S = 10.0
STEADY_GROWTH = 5.0
BUFFER_GROWTH = 32.0
"""MB: in bulk the store's write buffer fills in some minutes, is written out, and fills again."""
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
        found, feed, span = _sustained("steady", at, RATE, seconds, STEADY_GROWTH)
        waits = delays(at, *span)
        note = f"of {len(waits)} single calls, {feed.count} events"
        found.append(Row("steady.p50", round(waits[len(waits) // 2]), 50, "ms", note=note))
        found.append(Row("steady.p99", round(waits[len(waits) * 99 // 100]), 1000, "ms"))
        return [*found, *kept("steady", at)]


def run_bulk(place: Place, seconds: float | None, rows: int) -> list[Row]:
    """Two minutes of as many events as all of Klaviyo's bulk calls carry."""
    with line(place, 50) as at:
        found, _, span = _sustained("bulk", at, BULK_RATE, seconds, BUFFER_GROWTH)
        began, ended = span
        sizes = [(call["at"], call["recorded"]) for call in at.klaviyo.requests("events")]
        rate = sum(count for when, count in sizes if began <= when < ended) / (ended - began)
        note = f"{len(sizes)} calls"
        found.append(Row("bulk.rate", round(rate), 0.99 * BULK_RATE, "/s", least=True, note=note))
        return [*found, *kept("bulk", at)]


def _sustained(
    name: str, at: Line, rate: float, seconds: float | None, growth: float
) -> tuple[list[Row], Feed, tuple[float, float]]:
    """Feed at a rate and watch the memory: rows, what was fed, and from when to when (epoch seconds)."""
    length = max(seconds or 120.0, 2 * SPAN_S)
    worker = at.worker()
    feed = at.feed("events", rate)
    eventually(lambda: at.klaviyo.ask("stats")["requests"])
    warm = time.monotonic() + WARM_S
    began = time.time() + WARM_S
    samples: list[tuple[float, float]] = []
    while (now := time.monotonic()) < warm + length:
        samples.append((now - warm, memory_mb(worker.pid)))
        time.sleep(1)
    ended = time.time()
    feed.stop()
    first = statistics.fmean(mb for when, mb in samples if 0 <= when < SPAN_S)
    last = statistics.fmean(mb for when, mb in samples if when >= length - SPAN_S)
    note = f"{first:.1f} → {last:.1f} MB"
    found = [
        Row(f"{name}.memory", round(last - first, 1), growth, "MB", note=note),
        Row(f"{name}.http_429", at.klaviyo.refused(), 0),
    ]
    return found, feed, (began, ended)
