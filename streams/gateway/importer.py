"""``streams import``: rows of files and databases into ``segment.events.backfill``, in atomic chunks.

A chunk's envelopes, its dead letters and how far the import is are one transaction: whatever ends the process,
going on loses nothing and writes nothing twice.
"""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
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
from streams.gateway.entry import Entry, invalid
from streams.gateway.messages import Arrival, Refusal
from streams.gateway.records import DEAD_LETTERS, EVENTS
from streams.gateway.rows.mapping import Shape, Unmappable, message_of
from streams.gateway.rows.row import Reader, Row
from streams.gateway.rows.standing import KIND, Standing, name_of

STAGE: Final = "import"
CHUNK_ROWS: Final = 2_000
CHUNK_BYTES: Final = 8_000_000
"""A transaction's time-out has to leave room for it even on a slow broker."""


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
    """This run's rows; ``resumed_after`` is how many the runs before it had done."""

    rows: int = 0
    sent: int = 0
    refused: int = 0
    resumed_after: int = 0
    seconds: float = 0.0


Watch = Callable[[Counts, int], None]
"""Called after each chunk: counts, and how far the source is read, in its units."""


def import_rows(config: Config, reader: Reader, plan: Plan, watch: Watch) -> Counts:
    """Import all rows, or those behind where the last run stopped.

    Raises:
        Misconfigured: the source, or how it is to be read, is not what the progress says; another import of
            the same took over.
        Away: Kafka, the registry or the database does not answer; what was acknowledged is kept.
    """
    registry = Registry.of(config)
    registry.ready_sync(twin(EVENTS), DEAD_LETTERS, CONTROL)
    client = quiet(config.kafka.client())
    with _taken_over(plan), closing(Transactions(client, f"{config.prefix}{plan.name}")) as transactions:
        transactions.begin()  # ends what a killed run left open, so that its progress can be read
        standing = _standing(config, plan)
        shape = replace(plan.shape, run=standing.run)
        counts, began = Counts(resumed_after=standing.rows), time.monotonic()
        for chunk in _chunks(reader.rows(standing.point), plan.rate):
            entry = Entry(
                STAGE,
                registry.codec("envelope"),
                registry.codec("dead_letter"),
                config.partitions,
            )
            refused = sum(_admit(entry, row, shape, arrival) for arrival, row in _arrivals(config, plan, chunk))
            sent = len(chunk) - refused
            standing = standing.onward(dict(chunk[-1].after), sent=sent, refused=refused)
            _write(config, registry, transactions, plan, standing, entry)
            counts.rows, counts.sent = counts.rows + len(chunk), counts.sent + sent
            counts.refused, counts.seconds = counts.refused + refused, time.monotonic() - began
            watch(counts, chunk[-1].done)
            if plan.rate:
                time.sleep(max(0.0, began + counts.rows / plan.rate - time.monotonic()))
        ended = replace(standing, ended=True)
        _write(config, registry, transactions, plan, ended, None)
    counts.seconds = time.monotonic() - began
    return counts


def preview(config: Config, reader: Reader, plan: Plan, put: Callable[[bytes], None], say: Watch) -> Counts:
    """What an import would send, without any network: each message to ``put``, each bad row to ``say``."""
    raise NotImplementedError
