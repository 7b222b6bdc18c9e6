"""Route: mapping alone, and one process that turns profile events into operations."""

from streams.engine.partition import partition_of
from streams.engine.reading import Reader
from tests.bench import load, mapping
from tests.bench.appended import Pace, pace
from tests.bench.place import PARTITIONS, Place, pipeline, say, stop
from tests.bench.results import Measured, paced
from tests.line import Bench

EVENTS = 60_000


def run(place: Place) -> list[Measured]:
    """What mapping costs; records a second, by its outcomes: one a record."""
    mapped = mapping.run(place.turns)
    runs: list[Pace] = []
    rows: list[load.Row] = []
    for _ in range(place.turns):
        with place.line("route", pipeline(1)) as line:
            line.registry.ready_sync("segment.events", "profile.events")
            rows = rows or _rows(line)
            frame = line.registry.codec("profile_event").frame
            load.fill(line.config, line.config.prefix + "profile.events", frame, rows)
            runs.append(_once(place, line))
            say(f"route.streams: {runs[-1]}")
    return mapped + paced("route.streams", runs)


def _once(place: Place, line: Bench) -> Pace:
    output = line.config.prefix + "outcomes"
    place.stamp(output)
    worker = line.worker("route")
    try:
        return pace(Reader(line.config.kafka.client()), output, EVENTS, EVENTS, [worker])
    finally:
        stop(worker)


def _rows(line: Bench) -> list[load.Row]:
    """Orders of Zipf-distributed people, as identify hands them on."""
    envelope = line.registry.codec("envelope").encode
    encode = line.registry.codec("profile_event").encode
    rows: list[load.Row] = []
    for number, event in enumerate(load.envelopes(EVENTS, 1)):
        who = event["uid"].hex()
        origin = {
            "line": "events",
            "space": "s0",
            "partition": number % PARTITIONS,
            "offset": number // PARTITIONS,
            "accepted_at": event["accepted_at"],
            "replay": None,
        }
        profile = {
            "id": who,
            "email": event["email"] or None,
            "phone": None,
            "user_id": event["user_id"] or None,
            "anonymous_ids": [event["anonymous_id"]],
        }
        value = encode({"event": envelope(event), "origin": origin, "profile": profile, "late": False})
        rows.append((partition_of(who.encode(), PARTITIONS), who.encode(), value[5:]))
    return rows
