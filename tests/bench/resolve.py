"""Who is who, in two hops: dedupe, by space, identify, by profile; next to others that do the same."""

from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

from streams.engine.reading import Reader
from tests.bench import load
from tests.bench.appended import Pace, pace
from tests.bench.peers import java
from tests.bench.place import PARTITIONS, Place, pipeline, say, stop
from tests.bench.results import Measured, paced
from tests.line import Bench

EVENTS = 200_000
FORWARDED = EVENTS - int(EVENTS * load.REPEATED)


def run(place: Place) -> list[Measured]:
    """Both engines in turn, on the same records."""
    peer = java.prepare(place.folder)
    found: list[Measured] = []
    for spaces, suffix in ((1, ""), (4, ".four_spaces")):
        runs = _both(place, spaces, peer)
        theirs = "resolve.kafka_streams" + suffix
        found += paced("resolve.streams" + suffix, runs["streams"], peer=theirs)
        found += paced(theirs, runs["kafka_streams"], reason=None if isinstance(peer, Path) else peer)
    return found


def _both(place: Place, spaces: int, peer: Path | str) -> dict[str, list[Pace]]:
    runs: dict[str, list[Pace]] = defaultdict(list)
    rows: list[load.Row] = []
    for _ in range(place.turns):
        with place.line("resolve", pipeline(spaces)) as line:
            line.registry.ready_sync("segment.events")
            codec = line.registry.codec("envelope")
            rows = rows or load.accepted(codec, EVENTS, spaces, PARTITIONS)
            load.fill(line.config, line.config.prefix + "segment.events", codec.frame, rows)
            runs["streams"].append(_ours(place, line))
            say(f"resolve.streams, spaces: {spaces}: {runs['streams'][-1]}")
            if isinstance(peer, Path):
                runs["kafka_streams"].append(_theirs(place, line, peer, spaces))
                say(f"resolve.kafka_streams, spaces: {spaces}: {runs['kafka_streams'][-1]}")
    return runs


def _ours(place: Place, line: Bench) -> Pace:
    unique, output = (line.config.prefix + name for name in ("segment.unique", "profile.events"))
    place.stamp(unique, output)
    with ExitStack() as ends:
        workers = []
        for stage in ("identify", "dedupe"):
            workers.append(line.worker(stage))
            ends.callback(stop, workers[-1])
        return pace(Reader(line.config.kafka.client()), output, FORWARDED, EVENTS, workers, unique)


def _theirs(place: Place, line: Bench, built: Path, spaces: int) -> Pace:
    prefix = line.config.prefix + "peer-"
    unique, output, repeated = (prefix + name for name in ("unique", "profiles", "duplicates"))
    place.topics({unique: spaces, output: PARTITIONS, repeated: PARTITIONS})
    place.stamp(unique, output)
    arguments = [line.config.kafka.bootstrap, prefix + "app", line.config.prefix + "segment.events"]
    with java.running(built, [*arguments, unique, output, repeated, str(line.folder / "peer")]) as child:
        return pace(Reader(line.config.kafka.client()), output, FORWARDED, EVENTS, [child], unique)
