"""``streams dead-letters redrive|discard``: letters back into the line, or out of the way.

A chunk's records and the marks of its letters are one transaction: whatever ends the process, a letter is
neither lost nor sent twice, and the same command goes on.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from streams.config import Config
from streams.engine.control import TOPIC as CONTROL
from streams.engine.control import Key, key_bytes, now_ms, read_control
from streams.engine.outbox import OUTCOMES, Produced
from streams.engine.reading import Reader
from streams.engine.registry import Registry
from streams.engine.slots import Slots
from streams.engine.topics import full
from streams.engine.transactions import Transactions
from streams.ledger.dead_letters import among, bounds, read
from streams.ledger.letters import Filters
from streams.ledger.marks import Letter, Marks, Run, Verb
from streams.ledger.outcomes import outcome
from streams.ledger.reasons import Outcome, Reason
from streams.ledger.reentry import STAGES, WRITTEN, Line, Reentry, Stays, reentry
from streams.ledger.sole_writer import new_run, sole_writer
from streams.segment import plan_files

CHUNK: Final = 1_000
CHUNK_BYTES: Final = 8_000_000
"""Letters a transaction, and bytes of theirs: it must fit its time-out on a slow broker, too."""
SHOWN: Final = 1_000
"""Letters that stay are told one by one up to here, beyond it only counted."""
Readmit = Callable[[Mapping[str, Any], Line], Reentry | Stays]
"""What the gateway's rules make of a letter that never entered the line."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which letters, by filters or by name; ``again``: those that were redriven or discarded before, too."""

    verb: Verb
    filters: Filters = field(default_factory=Filters)
    letters: frozenset[Letter] | None = None
    again: bool = False
    dry_run: bool = False
    why: str | None = None


@dataclass(slots=True)
class Counts:
    """``chosen`` = ``done`` + ``before`` + ``stay``; ``missing`` are named letters that there are none of."""

    run: str
    chosen: int = 0
    done: int = 0
    before: int = 0
    stay: int = 0
    topics: dict[str, int] = field(default_factory=dict)
    """Logical topic → records written (or, in a dry run, that would be)."""
    left: list[dict[str, str]] = field(default_factory=list)
    """The first letters that stay: id, why."""
    missing: list[str] = field(default_factory=list)


Watch = Callable[[Counts, int, int], None]
"""Called after each chunk: counts, letters read, letters there are at most."""


def run(config: Config, plan: Plan, readmit: Readmit, watch: Watch) -> Counts:
    """Redrive or discard, in chunks.

    Raises:
        Misconfigured: another redrive or discard runs; topics or schemas are not there.
        Away: Kafka or the registry does not answer; what was acknowledged is done, the rest is as it was.
    """
    registry = Registry.of(config)
    registry.ready_sync(*WRITTEN)
    job = _Job(config, registry, plan, readmit, Run(plan.verb, new_run(), plan.why))
    if plan.dry_run:
        return job.work(watch, None)
    with sole_writer(config, "redrive", "another redrive or discard") as transactions:
        return job.work(watch, transactions)


class _Job:
    def __init__(
        self, config: Config, registry: Registry, plan: Plan, readmit: Readmit, marking: Run
    ) -> None:
        self._config, self._registry, self._plan = config, registry, plan
        self._readmit, self._marking = readmit, marking
        self._counts = Counts(marking.id)
        self._line: Line
        self._marks: Marks
        self._stale: list[Key] = []
        self._sent: set[int] = set()

    def work(self, watch: Watch, transactions: Transactions | None) -> Counts:
        """All chunks; without transactions nothing is written."""
        facts = read_control(self._config)
        self._marks = Marks.of(facts.values())
        self._line = Line(
            self._config,
            Slots.of(facts.values()),
            self._registry.codec,
            plan_files.in_force(self._config),
        )
        reader = Reader(self._config.kafka.client())
        everything = bounds(self._config, reader)
        named, since = self._plan.letters, self._plan.filters.since
        ranges = bounds(self._config, reader, since) if named is None else among(named, everything)
        total, done = sum(each.end - each.start for each in ranges), 0
        self._stale = self._marks.stale({each.partition: each.start for each in everything})
        unseen = set(named or ())
        for chunk in _chunks(read(self._config, ranges, reader)):
            done += len(chunk)
            unseen.difference_update(place for place, _ in chunk)
            records = self._records(
                [(place, letter) for place, letter in chunk if self._chosen(place, letter)]
            )
            if transactions is not None and records:
                transactions.write(records)
            watch(self._counts, done, total)
        self._counts.missing = [f"{partition}-{offset}" for partition, offset in sorted(unseen)]
        return self._counts

    def _chosen(self, place: Letter, letter: Mapping[str, Any]) -> bool:
        plan = self._plan
        if plan.letters is not None and place not in plan.letters:
            return False
        if not plan.filters.match(letter):
            return False
        self._counts.chosen += 1
        if not plan.again and self._marks.find(place) is not None:
            self._counts.before += 1
            return False
        return True

    def _records(self, chosen: list[tuple[Letter, dict[str, Any]]]) -> list[tuple[str, list[Produced]]]:
        """What one transaction writes: records, outcomes of the records they replace, the marks."""
        topics: dict[str, list[Produced]] = {}
        settled: list[Letter] = []
        self._registry.learn_sync(letter["bytes"] for _, letter in chosen)
        for place, letter in chosen:
            if self._plan.verb == "redrive":
                made = self._made(letter)
                if isinstance(made, Stays):
                    self._stays(place, made)
                    continue
                settled.append(place)
                if not self._first(letter):
                    continue
                topics.setdefault(made.topic, []).append((made.partition, made.key, made.value))
                self._counts.topics[made.topic] = self._counts.topics.get(made.topic, 0) + 1
                if made.anew and letter["origin"]["offset"] >= 0:
                    topics.setdefault(OUTCOMES, []).append(self._replaced(letter))
            else:
                settled.append(place)
        if not settled:
            return []
        self._counts.done += len(settled)
        return [(full(self._config.prefix, name), batch) for name, batch in self._with_marks(topics, settled)]

    def _first(self, letter: Mapping[str, Any]) -> bool:
        """Whether no other letter of the run sends the same: a record refused for each of its accounts has
        a letter for each, and one that was refused again after a redrive has two.
        """
        origin = letter["origin"]
        if origin["offset"] < 0:
            return True
        place = origin["line"], origin["partition"], origin["offset"]
        same = hash((letter["stage"], *place, letter["delivery_id"]))
        first = same not in self._sent
        self._sent.add(same)
        return first

    def _made(self, letter: Mapping[str, Any]) -> Reentry | Stays:
        if letter["stage"] in STAGES:
            return reentry(letter, self._marking.id, self._line)
        return self._readmit(letter, self._line)

    def _stays(self, place: Letter, stays: Stays) -> None:
        self._counts.stay += 1
        if len(self._counts.left) < SHOWN:
            self._counts.left.append({"id": f"{place[0]}-{place[1]}", "why": stays.why})

    def _replaced(self, letter: Mapping[str, Any]) -> Produced:
        """The refused record's own outcome: another record stands for it from now on."""
        origin = {**letter["origin"], "replay": self._marking.id}
        said = outcome(
            origin,  # type: ignore[arg-type]
            letter["event_id"],
            letter["stage"],
            Outcome.DUPLICATE,
            Reason.REDRIVEN,
            at=now_ms(),
        )
        value = self._registry.codec("outcome").encode(said)
        return origin["partition"] % self._config.partitions, None, value

    def _with_marks(
        self, topics: dict[str, list[Produced]], settled: list[Letter]
    ) -> Iterator[tuple[str, list[Produced]]]:
        yield from topics.items()
        encode = self._registry.codec("control").encode
        gone: list[Produced] = [(0, key_bytes(*key), None) for key in self._stale]
        self._stale = []
        facts = self._marking.add(settled, now_ms()).items()
        yield CONTROL, [*gone, *((0, key_bytes(*key), encode(asdict(fact))) for key, fact in facts)]


def _chunks(
    letters: Iterator[tuple[Letter, dict[str, Any]]],
) -> Iterator[list[tuple[Letter, dict[str, Any]]]]:
    """Letters that go in one transaction."""
    chunk: list[tuple[Letter, dict[str, Any]]] = []
    size = 0
    for each in letters:
        chunk.append(each)
        size += len(each[1]["bytes"])
        if len(chunk) >= CHUNK or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
