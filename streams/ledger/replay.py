"""``streams replay``: records of any span once more, behind dedupe, chosen by what became of them.

A chunk's records and how far the replay is are one transaction: whatever ends the process, ``--resume`` goes
on behind the last chunk. What Klaviyo has is known by op id, which no replay changes.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from confluent_kafka import Message

from streams.config import Config
from streams.engine.control import TOPIC as CONTROL
from streams.engine.control import Control, Key, key_bytes, now_ms, read_control
from streams.engine.errors import Misconfigured, Unreadable
from streams.engine.outbox import Produced
from streams.engine.reading import Place, Range, Reader, place_of
from streams.engine.registry import Registry
from streams.engine.slots import Slots
from streams.engine.topics import full, line, logical, twin
from streams.engine.transactions import Transactions
from streams.ledger.audit import Auditor, Part
from streams.ledger.choice import Choice, Fate, Fates, forgotten
from streams.ledger.progress import KEY, Progress, add, events_of
from streams.ledger.reentry import Line, Reentry, Stays, again
from streams.ledger.sole_writer import new_run, sole_writer
from streams.segment.envelope import Origin

LIVE: Final = "segment.events"
TOPICS: Final = (LIVE, twin(LIVE))
"""What can be replayed: what came in, and what imports and redrives brought in."""
CHUNK: Final = 1_000
CHUNK_BYTES: Final = 8_000_000
Rehearse = Callable[[Mapping[str, Any]], Iterable[str]]
"""What the rules would make of a message now, an envelope: lanes, or why none."""
Watch = Callable[[Progress, int, int], None]
"""Called now and then: the run so far, offsets read, offsets there are."""


@dataclass(frozen=True, slots=True)
class Span:
    """Records that arrived from ``since`` on and before ``until`` (ms); None = no bound.

    Where ``first`` names partitions: these alone, from these offsets of ``topics`` on, to those of ``last``.
    """

    since: int | None = None
    until: int | None = None
    first: Mapping[int, int] = field(default_factory=dict)
    last: Mapping[int, int] = field(default_factory=dict)
    topics: tuple[str, ...] = TOPICS


@dataclass(frozen=True, slots=True)
class Plan:
    """Which records; ``account``: by their deliveries to it alone. A dry run writes nothing."""

    span: Span = field(default_factory=Span)
    choice: Choice = field(default_factory=Choice)
    account: str | None = None
    dry_run: bool = False
    resume: bool = False


def run(config: Config, plan: Plan, rehearse: Rehearse, watch: Watch) -> Progress:
    """Replay.

    Raises:
        Misconfigured: another replay runs; there is none to resume; topics or schemas are not there.
        Away: Kafka or the registry does not answer; what was acknowledged is done, ``resume`` goes on.
    """
    registry = Registry.of(config)
    registry.ready_sync(LIVE, "segment.unique", CONTROL)
    if plan.dry_run:
        return _Job(config, registry, plan).work(watch, None, rehearse)
    with sole_writer(config, "replay", "another replay") as transactions:
        return _Job(config, registry, plan).work(watch, transactions, rehearse)


def unfinished(config: Config) -> Progress | None:
    """The last replay, if it did not come to its end. Raises Away, Misconfigured."""
    last = Progress.of(read_control(config))
    return None if last is None or last.done else last


class _Job:
    def __init__(self, config: Config, registry: Registry, plan: Plan) -> None:
        self._config, self._registry, self._plan = config, registry, plan
        self._reader = Reader(config.kafka.client())
        facts = read_control(config)
        self._line = Line(config, Slots.of(facts.values()), registry.codec)
        self._progress = _resumed(facts) if plan.resume else self._begun()
        self._envelope = registry.codec("envelope").decode
        self._records: list[Produced] = []
        self._size = 0

    def work(self, watch: Watch, transactions: Transactions | None, rehearse: Rehearse) -> Progress:
        """All that is left; without transactions nothing is written."""
        progress = self._progress
        ranges = self._ranges()
        total, read = sum(each.end - each.start for each in ranges), 0
        part = Part(tuple(ranges), progress.since, progress.account)
        fates = Auditor(self._config, part).fates() if ranges else Fates()
        for batch in self._reader.read(ranges):
            self._registry.learn_sync(message.value() or b"" for message in batch)
            for message in batch:
                self._take(message, fates, rehearse if transactions is None else None)
                if len(self._records) >= CHUNK or self._size >= CHUNK_BYTES:
                    self._write(transactions)
            read += len(batch)
            watch(progress, read, total)
        progress.next = dict(progress.ends)
        self._write(transactions)
        return progress

    def _begun(self) -> Progress:
        """A new run over the span as it is now."""
        ranges = list(_span(self._config, self._reader, self._plan.span))
        names = {f"{logical(self._config.prefix, each.topic)}/{each.partition}": each for each in ranges}
        since = self._plan.span.since
        return Progress(
            run=new_run(),
            choice=self._plan.choice,
            account=self._plan.account,
            since=_arrived(self._reader, ranges) if self._plan.span.first else since or 0,
            next={name: each.start for name, each in names.items()},
            ends={name: each.end for name, each in names.items()},
        )

    def _ranges(self) -> list[Range]:
        progress, prefix = self._progress, self._config.prefix
        found = []
        for name, start in progress.next.items():
            topic, _, partition = name.rpartition("/")
            if start < progress.ends[name]:
                found.append(Range(full(prefix, topic), int(partition), start, progress.ends[name]))
        return found

    def _take(self, message: Message, fates: Fates, rehearse: Rehearse | None) -> None:
        """One record: it goes back, or it doesn't."""
        (topic, partition), offset = place_of(message)
        name, progress, value = logical(self._config.prefix, topic), self._progress, message.value() or b""
        progress.next[f"{name}/{partition}"] = offset + 1
        counts = progress.counts
        counts.read += 1
        fate = fates.find((line(name), partition), offset)
        try:
            envelope = self._envelope(value)
        except Unreadable:
            return  # dedupe said so of it; its dead letter goes back by a redrive
        if fate is None or not progress.choice.matches(envelope):
            return
        add(counts.found, [fate.name])
        if not progress.choice.takes(fate):
            return
        counts.chosen += 1
        add(counts.events, [events_of(envelope)])
        made = self._made(message, fate, envelope)
        if isinstance(made, Stays):
            counts.stays(f"{partition}-{offset}", made.why)
            return
        counts.sent += 1
        if rehearse is not None:
            add(counts.would, rehearse(envelope))
            return
        self._records.append((made.partition, made.key, made.value))
        self._size += len(made.value)

    def _made(self, message: Message, fate: Fate, envelope: Mapping[str, Any]) -> Reentry | Stays:
        (topic, partition), offset = place_of(message)
        if forgotten(fate, envelope["accepted_at"], now_ms()):
            return Stays("so old that no lane knows for sure what was sent of it")
        origin = Origin(
            line=line(logical(self._config.prefix, topic)),
            space=envelope["space"],
            partition=partition,
            offset=offset,
            accepted_at=envelope["accepted_at"],
            replay=None,
        )
        return again(message.value() or b"", message.key() or b"", origin, self._progress.run, self._line)

    def _write(self, transactions: Transactions | None) -> None:
        """Records and how far it is, in one transaction."""
        if transactions is None:
            return
        fact = self._registry.codec(CONTROL).encode(asdict(self._progress.fact(now_ms())))
        topics: list[tuple[str, list[Produced]]] = []
        if self._records:
            topics.append((full(self._config.prefix, twin("segment.unique")), self._records))
        topics.append((full(self._config.prefix, CONTROL), [(0, key_bytes(*KEY), fact)]))
        transactions.write(topics)
        self._records, self._size = [], 0


def _resumed(facts: Mapping[Key, Control]) -> Progress:
    last = Progress.of(facts)
    if last is None or last.done:
        raise Misconfigured("no replay was left unfinished: give a span")
    return last


def _span(config: Config, reader: Reader, span: Span) -> Iterable[Range]:
    """The span as of now, settled; empty parts are left out."""
    places = reader.places([full(config.prefix, name) for name in span.topics])
    if span.first:
        places = [place for place in places if place[1] in span.first]
    ends = reader.ends(places)
    reader.settle(ends)
    starts = reader.starts(places)
    low = reader.since(places, span.since) if span.since is not None else starts
    high = reader.since(places, span.until) if span.until is not None else ends
    for place in places:
        start = max(starts[place], low[place], span.first.get(place[1], 0))
        end = min(ends[place], high[place], span.last.get(place[1], ends[place]))
        if start < end:
            yield Range(*place, start, end)


def _arrived(reader: Reader, ranges: Iterable[Range]) -> int:
    """When the first of these records arrived (ms)."""
    times: dict[Place, int] = {}
    for each in ranges:
        for batch in reader.read([each]):
            times[(each.topic, each.partition)] = batch[0].timestamp()[1]
            break
    return min(times.values(), default=0)
