"""Klaviyo's own events asked for, where no webhook brings them: which, by which requests, in which form.

A page becomes the items that a webhook would have brought, so that one builder reads both. Source: GET
/api/events and /api/metrics, revision 2026-07-15; topics are named after Klaviyo's own metrics.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from streams.klaviyo.audience import quoted, resources
from streams.klaviyo.budgets import EVENTS_GET, METRICS_GET
from streams.klaviyo.requests import Request
from streams.segment.times import epoch_ms

PAGE: Final = 1000
"""Events on one page."""
_SERVICE: Final = "klaviyo"
_BETWEEN_WORDS: Final = re.compile(r"[^a-z0-9]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Metric:
    """One of Klaviyo's own metrics, and the webhook topic that its events would come by."""

    id: str
    topic: str


@dataclass(frozen=True, slots=True)
class Item:
    """One event in a webhook item's form; ``at_s`` is its time in epoch seconds."""

    event_id: str
    at_s: int
    value: Mapping[str, Any]


def topic_of(metric: str) -> str:
    """The webhook topic of one of Klaviyo's own metrics: "Opened Email" → ``event:klaviyo.opened_email``."""
    return f"event:{_SERVICE}.{_BETWEEN_WORDS.sub('_', metric.lower()).strip('_')}"


def find_metrics(cursor: str | None) -> Request:
    """GET /api/metrics, a page of all of them: there is no filter by name."""
    query = _query([("fields[metric]", "name,integration")], cursor)
    return Request("GET", "/api/metrics", b"", METRICS_GET, query=query, bulk=True, asks=True)


def find_events(metric_id: str, since_s: int, cursor: str | None) -> Request:
    """GET /api/events, a page of one metric's from an epoch second on, oldest first, with whose they are."""
    query = _query(
        [
            ("filter", f'equals(metric_id,"{metric_id}"),greater-or-equal(timestamp,{since_s})'),
            ("sort", "timestamp"),
            ("page[size]", str(PAGE)),
            ("include", "profile"),
            ("fields[profile]", "email,phone_number,external_id"),
        ],
        cursor,
    )
    return Request("GET", "/api/events", b"", EVENTS_GET, query=query, bulk=True, asks=True)


def wanted(data: Any, patterns: Iterable[str]) -> Iterator[Metric]:
    """Klaviyo's own metrics in an answer whose topics are among the patterns; others may have like names."""
    patterns = tuple(patterns)
    for found, attributes in resources(data):
        name, integration = attributes.get("name"), attributes.get("integration")
        if not isinstance(name, str) or not isinstance(integration, dict):
            continue
        service = str(integration.get("key") or integration.get("name"))
        topic = topic_of(name)
        if service.lower() == _SERVICE and any(fnmatchcase(topic, pattern) for pattern in patterns):
            yield Metric(found, topic)


def items(data: Any, included: Any, topic: str, since_s: int) -> list[Item]:
    """The events of an answer, in its order; one without a readable time counts as of ``since_s``."""
    people = {
        one.get("id"): one
        for one in (included if isinstance(included, list) else ())
        if isinstance(one, dict) and one.get("type") == "profile"
    }
    found: list[Item] = []
    for event in data if isinstance(data, list) else ():
        event_id = event.get("id") if isinstance(event, dict) else None
        if not isinstance(event_id, str):
            continue
        person = people.get(
            _object(_object(_object(event.get("relationships")).get("profile")).get("data")).get("id")
        )
        payload = {"data": event, "included": [] if person is None else [person]}
        attributes = _object(event.get("attributes"))
        times = map(epoch_ms, (attributes.get("timestamp"), attributes.get("datetime")))
        at_s = next((ms // 1000 for ms in times if ms is not None), since_s)
        found.append(Item(event_id, at_s, {"external_id": event_id, "topic": topic, "payload": payload}))
    return found


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _query(parts: list[tuple[str, str]], cursor: str | None) -> str:
    if cursor is not None:
        parts.append(("page[cursor]", cursor))
    return "&".join(f"{quoted(name)}={quoted(value)}" for name, value in parts)
