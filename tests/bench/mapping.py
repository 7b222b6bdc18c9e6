"""Mapping alone: what the rules of the shipped templates cost for one event, in process."""

import json
import time
from collections.abc import Sequence
from typing import Any, Final

from streams.route.rules import Router
from streams.segment.envelope import Envelope
from tests.bench.results import Measured
from tests.route.sample import ORIGIN, PETER, envelope, router
from tests.route.snapshots import ECOMMERCE

EVENTS: Final = 3_000
REPEATS: Final = 7
"""The least of these is a run's figure: whatever else the machine does only adds to it."""
IDENTIFY: Final[dict[str, Any]] = {
    "type": "identify",
    "traits": {
        "email": "peter@example.com", "firstName": "Peter", "lastName": "Gibbons", "phone": "+14155552671",
        "plan": "pro", "age": 41, "company": {"name": "Initech", "id": "c1", "employee_count": 100},
        "address": {"street": "6th St", "city": "San Francisco", "state": "CA", "postalCode": "94103"},
    },
    "context": {"ip": "8.8.8.8", "timezone": "Europe/Amsterdam", "locale": "nl-NL"},
}  # fmt: skip
ORDERS: Final = [each for each in ECOMMERCE if each["event"] == "Order Completed"]
ROWS: Final[dict[str, tuple[str, Sequence[dict[str, Any]]]]] = {
    "route.mapping": ("ecommerce.v2", ECOMMERCE),
    "route.mapping.order": ("ecommerce.v2", ORDERS),
    "route.mapping.track": ("track", ECOMMERCE),
    "route.mapping.classic": ("segment.classic", ECOMMERCE),
    "route.mapping.traits": ("segment.traits", [IDENTIFY]),
}
"""Row → template and messages: the specification's 28 events, one order of two products, a whole identify."""


def run(turns: int) -> list[Measured]:
    """Microseconds an event: rules looked up, conditions, mapping, ids, JSON; the body is parsed already."""
    return [_row(name, template, messages, turns) for name, (template, messages) in ROWS.items()]


def _row(name: str, template: str, messages: Sequence[dict[str, Any]], turns: int) -> Measured:
    kind, do = ("identify", "profile") if template == "segment.traits" else ("track", "event")
    rules = router(f"  - {{when: type = '{kind}', do: {do}, template: {template}}}")
    given = [(json.loads(json.dumps(each)), envelope(each)) for each in messages]
    rounds = EVENTS // len(given)
    return Measured(name, "µs/event", [_least(rules, given, rounds) for _ in range(turns)])


def _least(rules: Router, given: Sequence[tuple[dict[str, Any], Envelope]], rounds: int) -> float:
    least = float("inf")
    for _ in range(REPEATS):
        began = time.process_time()
        for _ in range(rounds):
            for message, event in given:
                rules.route(message, event, PETER, ORIGIN, late=False)
        least = min(least, time.process_time() - began)
    return least / (rounds * len(given)) * 1e6
