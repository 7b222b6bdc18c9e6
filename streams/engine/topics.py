"""The one table of topics: names, schemas, partitions, retention. A prefix goes before each name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

DAY_MS = 86_400_000
BACKFILL = ".backfill"

INPUTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "dedupe": ("segment.events",),
        "identify": ("segment.unique", "klaviyo.engagement"),
        "route": ("profile.events",),
        "deliver": (
            "klaviyo.events",
            "klaviyo.profiles",
            "klaviyo.lists",
            "klaviyo.consent",
            "klaviyo.admin",
        ),
        "feedback": ("segment.outbound",),
    }
)
"""Stage → its live inputs, in the order of the line; each has a twin."""

LANES = tuple(name.removeprefix("klaviyo.") for name in INPUTS["deliver"])
"""Families of operations; a lane is one of them for one account."""

Partitioned = Literal["events", "slots", "own"]


@dataclass(frozen=True, slots=True)
class Topic:
    """One logical topic.

    ``partitioned``: "events" = the configured number, fixed for life; "slots" = one for each space or
    account, grown with them; "own" = one partition. ``retention_ms`` is None where only compaction deletes.
    """

    name: str
    schema: str | None
    partitioned: Partitioned
    retention_ms: int | None
    compacted: bool = False
    twin: bool = False


def _table() -> Iterator[Topic]:
    yield Topic("segment.events", "envelope", "events", 14 * DAY_MS, twin=True)
    yield Topic("segment.unique", "unique", "slots", 14 * DAY_MS, twin=True)
    yield Topic("profile.events", "profile_event", "events", 14 * DAY_MS, twin=True)
    for lane in INPUTS["deliver"]:
        yield Topic(lane, "operation", "slots", 35 * DAY_MS, twin=True)
    yield Topic("klaviyo.engagement", "engagement", "slots", 14 * DAY_MS, twin=True)
    yield Topic("segment.outbound", "operation", "slots", 35 * DAY_MS, twin=True)
    # outcomes outlive every record they account for, however long its lane was stuck
    yield Topic("outcomes", "outcome", "events", 60 * DAY_MS)
    yield Topic("dead.letters", "dead_letter", "events", 90 * DAY_MS)
    yield Topic("control", "control", "own", None, compacted=True)
    for stage in INPUTS:
        sharded = stage in ("dedupe", "route")
        changelog = Topic(f"changelog.{stage}", None, "events" if sharded else "slots", None, compacted=True)
        if stage == "dedupe":
            # its marks are packed by batch, so only time deletes them; the window comes on top. However long
            # it stood still, its position is kept as long as what it has not read
            changelog = replace(changelog, retention_ms=14 * DAY_MS, compacted=False)
        yield changelog


def _with_twins(table: Iterator[Topic]) -> Iterator[Topic]:
    for topic in table:
        yield topic
        if topic.twin:
            yield replace(topic, name=topic.name + BACKFILL, twin=False)


TOPICS: Mapping[str, Topic] = MappingProxyType({topic.name: topic for topic in _with_twins(_table())})
"""Logical name → topic, twins included (a topic whose ``twin`` is set has one)."""


def full(prefix: str, name: str) -> str:
    """The topic's name on the broker."""
    return prefix + name


def logical(prefix: str, real: str) -> str:
    """The table's name of a topic on the broker."""
    return real.removeprefix(prefix)


def subject(prefix: str, name: str) -> str:
    """The topic's subject in the registry."""
    return full(prefix, name) + "-value"


def group(prefix: str, stage: str) -> str:
    """The stage's consumer group; its committed offsets are for lag displays only."""
    return prefix + stage


def twin(name: str) -> str:
    """Name of the topic's backfill twin."""
    return name + BACKFILL


def changelog(stage: str) -> str:
    """Name of the stage's changelog."""
    return f"changelog.{stage}"


def inputs(stage: str) -> tuple[str, ...]:
    """All inputs of a stage: the live ones, then their twins."""
    live = INPUTS[stage]
    return live + tuple(map(twin, live))


def line(topic: str) -> str:
    """``origin.line`` of a record that entered by ``segment.events`` or ``klaviyo.engagement`` or a twin."""
    return topic.removeprefix("segment.").removeprefix("klaviyo.")
