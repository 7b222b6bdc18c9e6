"""Fifty events a second: each goes at once by itself, and memory stays where it is."""

import statistics
import time
from datetime import datetime
from typing import Any

from tests.bench.place import Place
from tests.line import eventually
from tests.soak.kept import kept
from tests.soak.place import Line, line, memory_mb
from tests.soak.results import Row

RATE = 50.0
SPAN_S = 30.0
"""Of the first and the last so many seconds the memory is compared."""


def delays(at: Line) -> list[float]:
    """Milliseconds from an event's acceptance to its arrival at Klaviyo by itself, ascending."""
    calls = [request for request in at.klaviyo.requests("events") if request["path"] == "/api/events"]
    return sorted(call["at"] * 1000 - _accepted_ms(call["body"]) for call in calls)


def _accepted_ms(body: dict[str, Any]) -> float:
    when: str = body["data"]["attributes"]["time"]
    return datetime.fromisoformat(when).timestamp() * 1000


def run(place: Place, seconds: float | None, rows: int) -> list[Row]:
    """Two minutes of it."""
    length = max(seconds or 120.0, 2 * SPAN_S)
    with line(place, 50) as at:
        worker = at.worker()
        feed = at.feed("events", RATE)
        eventually(lambda: at.klaviyo.ask("stats")["requests"])
        warm = time.monotonic() + 10
        samples: list[tuple[float, float]] = []
        while (now := time.monotonic()) < warm + length:
            samples.append((now - warm, memory_mb(worker.pid)))
            time.sleep(1)
        feed.stop()
        first = statistics.fmean(mb for when, mb in samples if 0 <= when < SPAN_S)
        last = statistics.fmean(mb for when, mb in samples if when >= length - SPAN_S)
        waits = delays(at)
        note = f"p50 {waits[len(waits) // 2]:.0f} ms of {len(waits)} single calls, {feed.count} events"
        found = [
            Row(
                "steady.memory",
                round(100 * (last / first - 1), 2),
                5.0,
                "%",
                note=f"{first:.1f} → {last:.1f} MB",
            ),
            Row("steady.p99", round(waits[len(waits) * 99 // 100]), 1000, "ms", note=note),
            Row("steady.http_429", at.klaviyo.refused(), 0),
        ]
        return [*found, *kept("steady", at)]
