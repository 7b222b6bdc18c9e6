"""Reading what the audit needs: positions in the order of the line, then ends, then all up to these ends."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Message

from streams.config import Config
from streams.engine.control import now_ms, read_control
from streams.engine.errors import Away
from streams.engine.positions import Passed, Positions, positions
from streams.engine.reading import Place, Range, Reader, place_of
from streams.engine.registry import Registry
from streams.engine.topics import INPUTS, TOPICS, full, inputs, line, logical
from streams.ledger.accounting import HOUR_MS, Accounts
from streams.ledger.by_reason import ByReason
from streams.ledger.choice import Fates
from streams.ledger.dead_letters import CLOCKS_MS
from streams.ledger.marks import Marks
from streams.ledger.report import Report
from streams.ledger.trace import ENTRIES, FIRSTS, Decode, decoded, traced


def audit(config: Config, wait_s: float = 0.0) -> Report:
    """Account for everything, again and again until nothing is in flight or the wait is over.

    That something is missing wakes people: it is said only after all was read once more from the beginning.

    Raises:
        Away: it could not be told, since something does not answer or a transaction stays open.
        Misconfigured: the topics are not there.
    """
    deadline = time.monotonic() + wait_s
    auditor, twice = Auditor(config), False
    while True:
        try:
            report = auditor.look()
            if report.missing and not twice:
                auditor, twice = Auditor(config), True
                continue
            if not report.in_flight or time.monotonic() >= deadline:
                return report
        except Away:
            if time.monotonic() >= deadline:
                raise
            auditor = Auditor(config)  # it may have taken in half of what it read
        time.sleep(0.2)


@dataclass(frozen=True, slots=True)
class Part:
    """Some records alone: these ranges of where they enter, all of which arrived since then (ms).

    ``account``: count by its deliveries alone.
    """

    ranges: tuple[Range, ...]
    since: int
    account: str | None = None


class Auditor:
    """Each look reads on where the last one ended."""

    def __init__(self, config: Config, part: Part | None = None) -> None:
        self._config, self._part = config, part
        self._prefix = config.prefix
        self._marks = Marks()
        self._reader = Reader(config.kafka.client())
        self._registry = Registry.of(config)
        self._accounts = Accounts(config.identity.hold_hours * HOUR_MS, part.account if part else None)
        self._read: dict[Place, int] = {}
        self._letters = ByReason()

    def look(self) -> Report:
        """How it stands now."""
        tally = self._accounts.tally(now_ms(), self._gather(), self._marks.redriven)
        return Report(
            tally=tally,
            latencies=self._accounts.latencies,
            dead_letters=self._letters.document(self._marks),
            missing=traced(self._reader, self._registry, self._prefix, tally.missing),
        )

    def fates(self) -> Fates:
        """What became of each record, as of now."""
        return self._accounts.fates(now_ms(), self._gather())

    def _gather(self) -> dict[tuple[str, int], int]:
        """Take in all there is; per place, the first stage's next offset."""
        self._marks = Marks.of(read_control(self._config).values())
        passed = {stage: positions(self._reader, self._prefix, stage) for stage in INPUTS}
        places = self._reader.places(full(self._prefix, name) for name in TOPICS if TOPICS[name].schema)
        ends = self._reader.ends(places)
        self._reader.settle(ends)
        starts = self._reader.starts(places)
        for each in self._entered(starts, ends):
            name = logical(self._prefix, each.topic)
            self._accounts.grow(line(name), each.partition, each.start, each.end)
        self._take_in(starts, ends)
        self._tails(passed, starts, ends)
        self._look_for_records()
        return {
            (entry, partition): _next(passed[FIRSTS[name.removesuffix(".backfill")]], name, partition)
            for entry, name in ENTRIES.items()
            for topic, partition in places
            if topic == full(self._prefix, name)
        }

    def _entered(self, starts: dict[Place, int], ends: dict[Place, int]) -> Iterable[Range]:
        """Where the records are that count."""
        if self._part is not None:
            return self._part.ranges
        entries = {full(self._prefix, name) for name in ENTRIES.values()}
        return [Range(*place, starts[place], end) for place, end in ends.items() if place[0] in entries]

    def _take_in(self, starts: dict[Place, int], ends: dict[Place, int]) -> None:
        """Dead letters and outcomes since the last look."""
        letters, outcomes = full(self._prefix, "dead.letters"), full(self._prefix, "outcomes")
        if self._part is not None and not self._read:
            places = [place for place in ends if place[0] in (letters, outcomes)]
            starts = starts | self._reader.since(places, max(self._part.since - CLOCKS_MS, 0))
        for topic, schema in ((letters, "dead_letter"), (outcomes, "outcome")):
            ranges = [
                Range(*place, min(self._read.get(place, starts[place]), end), end)
                for place, end in ends.items()
                if place[0] == topic
            ]
            for message, record in self._decoded(ranges, self._registry.codec(schema).decode):
                if topic == letters:
                    self._letter(message, record)
                else:
                    self._accounts.outcome(record)
            self._read |= {(r.topic, r.partition): r.end for r in ranges}

    def _letter(self, message: Message, record: dict[str, Any]) -> None:
        (_, partition), offset = place_of(message)
        place = partition, offset
        self._letters.add(place, record, self._marks)
        self._accounts.dead_letter(record, place)

    def _tails(self, passed: dict[str, Positions], starts: dict[Place, int], ends: dict[Place, int]) -> None:
        """What waits before each stage but the first."""
        self._accounts.close_all()
        for stage in INPUTS:
            for name in inputs(stage):
                if name in ENTRIES.values():
                    continue
                schema = TOPICS[name].schema or ""
                places = [place for place in ends if place[0] == full(self._prefix, name)]
                done = {place: passed[stage].get(place[1], {}).get(name, Passed(0)) for place in places}
                ranges = [Range(*p, max(starts[p], done[p].next), ends[p]) for p in places]
                origin = self._registry.codec(schema).prefix(upto="origin")
                for message, record in self._decoded(ranges, origin):
                    place, offset = place_of(message)
                    if offset not in done[place]:
                        self._accounts.opened(record["origin"], record.get("op_id"), record.get("account"))

    def _look_for_records(self) -> None:
        """Of offsets that nothing was said of: which hold records at all?"""
        ranges = [
            Range(full(self._prefix, ENTRIES[entry]), partition, start, end)
            for entry, partition, start, end in self._accounts.silent()
        ]
        found: dict[tuple[str, int], list[int]] = {}
        for batch in self._reader.read(ranges):
            for (topic, partition), offset in map(place_of, batch):
                found.setdefault((line(logical(self._prefix, topic)), partition), []).append(offset)
        self._accounts.looked(found)

    def _decoded(self, ranges: Iterable[Range], decode: Decode) -> Iterator[tuple[Message, dict[str, Any]]]:
        return decoded(self._reader, self._registry, ranges, decode)


def _next(passed: Positions, name: str, partition: int) -> int:
    position = passed.get(partition, {}).get(name)
    return 0 if position is None else position.next
