"""What an account holds: profiles with their identifiers, metrics, events, lists, jobs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

IDENTIFIERS = ("external_id", "email", "phone_number", "anonymous_id")
"""Of two profiles named in one call, the one found by the earlier identifier is meant."""
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass(slots=True)
class Consent:
    """What a profile agreed to on one channel and kind; times are epoch seconds."""

    state: str
    at: float
    updated: float
    source: str | None = None


@dataclass(slots=True)
class Profile:
    """One person; `attributes` has every field but `location` and `properties`."""

    id: str
    seq: int
    created: float
    updated: float
    attributes: dict[str, Any] = field(default_factory=dict)
    location: dict[str, Any] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)
    anonymous_ids: set[str] = field(default_factory=set)
    aliases: set[tuple[str, str]] = field(default_factory=set)
    """Identifiers, by kind, of profiles that were merged into this one."""
    last_event: float | None = None
    consent: dict[tuple[str, str], Consent] = field(default_factory=dict)
    suppressions: dict[str, float] = field(default_factory=dict)
    """Reason -> since when; all of them global."""


@dataclass(slots=True)
class Metric:
    """An event's kind; `service` other than "api" is an integration's own."""

    id: str
    name: str
    service: str
    created: float


@dataclass(slots=True)
class Event:
    """One stored event; `time` is whole epoch seconds, `n_received` counts repeats of its id too."""

    id: str
    seq: int
    profile_id: str
    metric_id: str
    unique_id: str | None
    time: int
    properties: dict[str, Any]
    received: float
    n_received: int = 1
    backfill: bool = False


@dataclass(slots=True)
class MemberList:
    """A list; `members` maps a profile to when it joined."""

    id: str
    name: str
    opt_in_process: str
    created: float
    updated: float
    members: dict[str, float] = field(default_factory=dict)
    pending: set[str] = field(default_factory=set)
    """Addresses that wait for their double opt-in."""


@dataclass(slots=True)
class Job:
    """Work done later; `run` is due at `due` and fills in the counts."""

    id: str
    kind: str
    created: float
    due: float
    total: int
    run: Callable[[Job], None]
    status: str = "queued"
    completed: int = 0
    failed: int = 0
    skipped: int = 0
    finished: float | None = None
    lists: tuple[str, ...] = ()
    profiles: list[str] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)


class Account:
    """All data of one account."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.profiles: dict[str, Profile] = {}
        self.found: dict[str, dict[str, str]] = {kind: {} for kind in IDENTIFIERS}
        self.metrics: dict[str, Metric] = {}
        self._metric_ids: dict[tuple[str, str], str] = {}
        self.events: list[Event] = []
        self.event_by_id: dict[str, Event] = {}
        self.events_of: dict[str, list[Event]] = defaultdict(list)
        self.events_in: dict[str, list[Event]] = defaultdict(list)
        self.unique: dict[tuple[str, str, str], Event] = {}
        self.lists: dict[str, MemberList] = {}
        self.jobs: dict[str, Job] = {}
        self.queued: list[Job] = []
        self._seq = 0

    def new_seq(self) -> int:
        """Return the next number; numbers also make ids."""
        self._seq += 1
        return self._seq

    def new_profile(self, at: float) -> Profile:
        """Make a profile without identifiers."""
        seq = self.new_seq()
        profile = Profile(f"01{_encoded(seq, 24)}", seq, at, at)
        self.profiles[profile.id] = profile
        return profile

    def metric(self, name: str, service: str, at: float) -> Metric:
        """Return the metric of a name, made at its first event."""
        metric_id = self.metric_id(name, service)
        if metric_id is None:
            metric = Metric(f"M{_encoded(self.new_seq(), 5)}", name, service, at)
            self.metrics[metric.id] = metric
            self._metric_ids[(name, service)] = metric.id
            return metric
        return self.metrics[metric_id]

    def metric_id(self, name: str, service: str) -> str | None:
        """Return a known metric's id."""
        return self._metric_ids.get((name, service))

    def add_event(self, event: Event, key: str) -> None:
        """Store an event under its dedupe key."""
        self.events.append(event)
        self.event_by_id[event.id] = event
        self.events_of[event.profile_id].append(event)
        self.events_in[event.metric_id].append(event)
        self.unique[(event.profile_id, event.metric_id, key)] = event

    def new_event_id(self, seq: int) -> str:
        """Return an id as Klaviyo's events have."""
        return f"4{_encoded(seq, 10)}"

    def add_list(self, name: str, opt_in_process: str, at: float) -> MemberList:
        """Make a list."""
        made = MemberList(f"L{_encoded(self.new_seq(), 5)}", name, opt_in_process, at, at)
        self.lists[made.id] = made
        return made

    def add_job(self, kind: str, at: float, delay_s: float, total: int, run: Callable[[Job], None]) -> Job:
        """Queue a job."""
        job = Job(f"J{_encoded(self.new_seq(), 21)}", kind, at, at + delay_s, total, run)
        self.jobs[job.id] = job
        self.queued.append(job)
        return job

    def erase(self, profile: Profile) -> None:
        """Delete a profile's events and memberships."""
        gone = self.events_of.pop(profile.id, [])
        keys = {event.id for event in gone}
        for metric_id in {event.metric_id for event in gone}:
            self.events_in[metric_id] = [row for row in self.events_in[metric_id] if row.id not in keys]
        self.events = [row for row in self.events if row.id not in keys]
        self.unique = {key: row for key, row in self.unique.items() if row.id not in keys}
        for key in keys:
            del self.event_by_id[key]
        for known in self.lists.values():
            known.members.pop(profile.id, None)

    def settle(self, now: float) -> None:
        """Run every job that is due, in the order they were made."""
        for job in [job for job in self.queued if job.due <= now]:
            self.queued.remove(job)
            job.run(job)
            job.status = "complete"
            job.finished = job.due
            job.completed = job.total - job.failed - job.skipped


_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]


def _encoded(number: int, width: int) -> str:
    """Write a number in Crockford's base 32; scattered, so that ids don't look like a count."""
    bits = min(40, 5 * width)
    number = number * 0x9E3779B1 % (1 << bits)
    pairs = "".join(_PAIRS[number >> shift & 1023] for shift in (30, 20, 10, 0))
    return pairs[-width:].rjust(width, "0")
