"""Reading what ``audit --confirmed`` needs: outcomes of deliveries, then the event operations themselves."""

import time

from streams.config import Config
from streams.engine.control import now_ms
from streams.engine.reading import Range, Reader
from streams.engine.registry import Registry
from streams.engine.topics import full, twin
from streams.ledger.confirming import Confirming, Receipts
from streams.ledger.trace import decoded


def receipts(config: Config, wait_s: float = 0.0) -> Receipts:
    """Which accepted events were not seen at Klaviyo, again and again until all were or the wait is over.

    Raises:
        Away: it could not be told.
        Misconfigured: the topics are not there.
    """
    deadline = time.monotonic() + wait_s
    reader, registry = Reader(config.kafka.client()), Registry.of(config)
    while True:
        found = _look(config, reader, registry)
        if not (found.awaited or found.overdue) or time.monotonic() >= deadline:
            return found
        time.sleep(0.5)


def _look(config: Config, reader: Reader, registry: Registry) -> Receipts:
    after_ms = config.deliver.readback_minutes * 60_000
    confirming = Confirming(config.deliver.confirm_share, after_ms, now_ms())
    outcome = registry.codec("outcome").decode
    for _, said in decoded(reader, registry, _all(config, reader, "outcomes"), outcome):
        confirming.outcome(said)
    if confirming.open:
        event = registry.codec("operation").prefix(upto="event_id")
        topic = "klaviyo.events"
        for _, op in decoded(reader, registry, _all(config, reader, topic, twin(topic)), event):
            confirming.operation(op)
    return confirming.receipts()


def _all(config: Config, reader: Reader, *topics: str) -> list[Range]:
    places = reader.places([full(config.prefix, topic) for topic in topics])
    ends = reader.ends(places)
    reader.settle(ends)
    starts = reader.starts(places)
    return [Range(*place, starts[place], end) for place, end in ends.items()]
