"""``streams import``: rows of files and databases into ``segment.events.backfill``, in atomic chunks.

A chunk's envelopes, its dead letters and how far the import is are one transaction: whatever ends the
process, going on loses nothing and writes nothing twice.
"""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from streams.config import Config
from streams.engine.control import TOPIC as CONTROL
from streams.engine.control import key_bytes, now_ms, read_control
from streams.engine.errors import Fenced, Misconfigured
from streams.engine.outbox import Produced
from streams.engine.reading import quiet
from streams.engine.registry import Registry
from streams.engine.slots import Slots
from streams.engine.topics import full, twin
from streams.engine.transactions import Transactions
from streams.gateway import messages
from streams.gateway.entry import Entry
from streams.gateway.messages import Arrival
from streams.gateway.records import DEAD_LETTERS, EVENTS
from streams.gateway.rows import chunk
from streams.gateway.rows.chunk import Done
from streams.gateway.rows.mapping import Shape
from streams.gateway.rows.row import Reader, Row
from streams.gateway.rows.sent import Sent
from streams.gateway.rows.standing import KIND, Standing, name_of
from streams.segment import plan_files
from streams.segment.refusal import Refusal
from streams.segment.tracking_plan import TrackingPlan

STAGE: Final = "import"
CHUNK_ROWS: Final = 2_000
CHUNK_BYTES: Final = 8_000_000
"""A chunk must fit a transaction's time-out on a slow broker, too."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to import: where from (as it may be shown), what of it, how, for whom; rows a second at most."""

    location: str
    what: str
    shape: Shape
    spaces: tuple[str, ...]
    resume: bool = False
    send_all: bool = False
    rate: float | None = None

    @property
    def name(self) -> str:
        """The import's name in control."""
        return name_of(self.shape.name, self.location, self.what)


@dataclass(slots=True)
class Counts:
    """This run's rows; ``unchanged`` said the same last time, ``resumed_after`` is what was done before.

    Of ``refused``, ``known`` have their dead letters from earlier runs.
    """

    rows: int = 0
    sent: int = 0
    unchanged: int = 0
    refused: int = 0
    known: int = 0
    resumed_after: int = 0
    seconds: float = 0.0


Watch = Callable[[Counts, int], None]
"""Called after each chunk: counts, and how far the source is read, in its units."""


def import_rows(config: Config, reader: Reader, plan: Plan, watch: Watch) -> Counts:
    """Import all rows, or those behind where the last run stopped.

    Raises:
        Misconfigured: the source, or how it is to be read, is not what the progress says; another process
            imports the same.
        Away: Kafka, the registry or the database does not answer; what was acknowledged is kept.
    """
    registry = Registry.of(config)
    registry.ready_sync(twin(EVENTS), DEAD_LETTERS, CONTROL)
    client = quiet(config.kafka.client())
    with _alone(plan), closing(Transactions(client, f"{config.prefix}{plan.name}")) as transactions:
        transactions.begin()  # ends what a killed run left open, so that its progress can be read
        standing, stamp = _standing(config, plan)
        shape = replace(plan.shape, run=_run(plan, standing))
        counts, began = Counts(resumed_after=standing.rows), time.monotonic()
        held = plan_files.in_force(config)
        with Sent(_file(config, plan), stamp) as last:
            for rows in _chunks(reader.rows(standing.point), plan.rate):
                entry, arrival = _entry(config, registry), _arrival(config, plan, held)
                done = chunk.add(entry, rows, shape, arrival, last, by_change=_by_change(plan))
                standing = standing.onward(
                    dict(rows[-1].after), sent=done.sent, unchanged=done.unchanged, refused=done.refused
                )
                transactions.write(_records(config, registry, plan, standing, entry))
                last.keep(done.changed, standing.stamp)
                _count(counts, done, time.monotonic() - began)
                watch(counts, rows[-1].done)
                if plan.rate:
                    time.sleep(max(0.0, began + counts.rows / plan.rate - time.monotonic()))
            ended = replace(standing, ended=True)
            transactions.write(_records(config, registry, plan, ended, _entry(config, registry)))
            last.keep({}, ended.stamp)
    counts.seconds = time.monotonic() - began
    return counts


def preview(config: Config, reader: Reader, plan: Plan) -> Iterator[tuple[int, bytes | Refusal]]:
    """Each row's number, and the message that an import would send or why it would not; no network."""
    arrival = _arrival(config, plan, plan_files.in_force(config))
    for row in reader.rows(None):
        made = chunk.message(row, plan.shape)
        if not isinstance(made, Refusal):
            read = messages.read(made.message, made.body, made.body, arrival)
            yield row.number, read if isinstance(read, Refusal) else made.body
        else:
            yield row.number, made


@contextmanager
def _alone(plan: Plan) -> Iterator[None]:
    try:
        yield
    except Fenced:
        raise Misconfigured(
            f"another process imports {plan.location}, and has taken over from this one"
        ) from None


def _count(counts: Counts, done: Done, seconds: float) -> None:
    counts.rows += done.sent + done.unchanged + done.refused
    counts.sent += done.sent
    counts.unchanged += done.unchanged
    counts.refused += done.refused
    counts.known += done.known
    counts.seconds = seconds


def _by_change(plan: Plan) -> bool:
    """Whether rows that say what they said last time stay here; an event is one whenever it comes."""
    return plan.shape.event is None and not plan.send_all


def _run(plan: Plan, standing: Standing) -> str:
    return standing.run if plan.shape.event is None or plan.send_all else ""


def _file(config: Config, plan: Plan) -> Path:
    return config.data / "import" / f"{plan.name.replace('/', '-')}.db"


def _standing(config: Config, plan: Plan) -> tuple[Standing, str]:
    """Where to begin, and the stamp of the last chunk of whichever run. Raises Misconfigured."""
    facts = read_control(config)
    slots = Slots.of(facts.values())
    for space in plan.spaces:
        slots.space(space)
    fresh = Standing(plan.location, plan.shape.digest, plan.spaces, run=secrets.token_hex(4))
    fact = facts.get((KIND, plan.name))
    if fact is None:
        return fresh, ""
    found = Standing.of(fact)
    if not plan.resume:
        return fresh, found.stamp
    if (found.shape, found.spaces) != (fresh.shape, fresh.spaces):
        raise Misconfigured("the import to go on with had other columns, mappings or spaces: use the same")
    if not found.ended:
        return found, found.stamp
    point = None if found.point is None else {**found.point, "ended": True}
    return replace(found, point=point, ended=False, run=fresh.run), found.stamp


def _chunks(rows: Iterator[Row], rate: float | None) -> Iterator[list[Row]]:
    """Rows that go in one transaction; at a rate, those of a second at most."""
    most = CHUNK_ROWS if rate is None else max(1, min(CHUNK_ROWS, int(rate)))
    chunk: list[Row] = []
    size = 0
    for row in rows:
        chunk.append(row)
        size += len(row.raw)
        if row.last and (len(chunk) >= most or size >= CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _arrival(config: Config, plan: Plan, held: TrackingPlan | None) -> Arrival:
    return Arrival(plan.shape.name, plan.spaces, now_ms(), plan.name, config.gateway.max_event_bytes, held)


def _entry(config: Config, registry: Registry) -> Entry:
    return Entry(STAGE, registry.codec("envelope"), registry.codec("dead_letter"), config.partitions)


def _records(
    config: Config, registry: Registry, plan: Plan, standing: Standing, entry: Entry
) -> list[tuple[str, list[Produced]]]:
    """One transaction: by topic, the progress last."""
    fact = standing.fact(plan.name, now_ms())
    value = registry.codec(CONTROL).encode(asdict(fact))
    records: dict[str, list[Produced]] = {
        twin(EVENTS): entry.events,
        DEAD_LETTERS: entry.letters,
        CONTROL: [(0, key_bytes(KIND, plan.name), value)],
    }
    return [(full(config.prefix, topic), made) for topic, made in records.items()]
