"""Reading back what Klaviyo accepted: which events, by which requests, and what the answers show.

Events can't be asked for by ``unique_id``: they are read by metric and time, and known by ``$event_id``, the
``unique_id`` that was sent, whomever they belong to by now.
"""

from collections.abc import Iterator
from typing import Any, Final

from streams.klaviyo.audience import quoted, resources
from streams.klaviyo.budgets import EVENTS_GET, METRICS_GET
from streams.klaviyo.requests import Request

PAGE: Final = 1000
"""Events on one page."""
DIGITS: Final = 8


def selected(op_id: str, share: float) -> bool:
    """Whether an operation is among the share (0..1) that is read back: the same ones at every time."""
    return int(op_id[:DIGITS], 16) < share * 16**DIGITS


def find_metrics(cursor: str | None) -> Request:
    """GET /api/metrics, a page of all of them: there is no filter by name."""
    query = _query([("fields[metric]", "name")], cursor)
    return Request("GET", "/api/metrics", b"", METRICS_GET, query=query, bulk=True, asks=True)


def find_events(metric_id: str, since_s: int, until_s: int, cursor: str | None) -> Request:
    """GET /api/events, a page of one metric's, between two epoch seconds, both included."""
    condition = (
        f'equals(metric_id,"{metric_id}"),'
        f"greater-or-equal(timestamp,{since_s}),less-or-equal(timestamp,{until_s})"
    )
    query = _query(
        [
            ("filter", condition),
            ("sort", "timestamp"),
            ("page[size]", str(PAGE)),
            ("fields[event]", "event_properties"),
        ],
        cursor,
    )
    return Request("GET", "/api/events", b"", EVENTS_GET, query=query, bulk=True, asks=True)


def metric_names(data: Any) -> Iterator[tuple[str, str]]:
    """Name and id of each metric in an answer; several may have one name."""
    for found, attributes in resources(data):
        name = attributes.get("name")
        if isinstance(name, str):
            yield name, found


def op_ids(data: Any) -> Iterator[str]:
    """The ``unique_id`` of each event in an answer."""
    for _, attributes in resources(data):
        properties = attributes.get("event_properties")
        found = properties.get("$event_id") if isinstance(properties, dict) else None
        if isinstance(found, str):
            yield found


def _query(parts: list[tuple[str, str]], cursor: str | None) -> str:
    if cursor is not None:
        parts.append(("page[cursor]", cursor))
    return "&".join(f"{quoted(name)}={quoted(value)}" for name, value in parts)
