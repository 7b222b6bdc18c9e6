"""A backlog on two lanes: nearly all of both budgets is used, and nothing is refused."""

import time

from streams.klaviyo.requests import BULK_BYTES
from tests.bench.place import Place
from tests.soak.kept import kept
from tests.soak.place import Line, line, order
from tests.soak.results import Row, share
from tests.soak.windows import use

LATENCY_MS = 150
BULK, SINGLE = 150, 750
"""Requests a minute: bulk events, profile-import."""
ABOVE = 1.05


def flood(at: Line, rows: int) -> None:
    """More than both budgets carry; the events are so large that ``rows`` of them fill a bulk call."""
    note = "x" * max(0, BULK_BYTES // rows - 500)
    at.feed("events", ABOVE * rows * BULK / 60, lambda n: order(n, note))
    at.feed("profiles", ABOVE * SINGLE / 60)


def used(name: str, at: Line, least: float) -> list[Row]:
    """What was used so far, and what was refused."""
    until = time.time()
    rows = []
    for lane, steady in (("events", BULK), ("profiles", SINGLE)):
        requests = at.klaviyo.requests(lane)
        calls = [r for r in requests if lane != "events" or r["path"].endswith("jobs")]
        found = use(calls, steady, until)
        took = sorted(r["done_at"] - r["at"] for r in calls)
        slow = took[len(took) * 99 // 100] if took else 0.0
        rows.append(share(f"{name}.{lane}", found.share, least, f"{found}; reply p99 {slow:.2f} s"))
    return [*rows, Row(f"{name}.http_429", at.klaviyo.refused(), 0)]


def run(place: Place, seconds: float | None, rows: int) -> list[Row]:
    """Five minutes of it."""
    with line(place, LATENCY_MS) as at:
        flood(at, rows)
        at.worker()
        time.sleep(seconds or 330)
        return used("backlog", at, 99.0)


def run_killed(place: Place, seconds: float | None, rows: int) -> list[Row]:
    """The same, with the owner killed in the middle and started again at once."""
    length = seconds or 330
    with line(place, LATENCY_MS) as at:
        flood(at, rows)
        owner = at.worker()
        time.sleep(length / 2)
        owner.kill()
        owner.wait()
        at.worker()
        time.sleep(length / 2)
        found = used("killed", at, 95.0)
        return [*found, *kept("killed", at)]
