"""Reading alone: the shipped consumer under a stage that only commits positions, and aiokafka bare."""

import json
import sys

from tests.bench import load
from tests.bench.place import PARTITIONS, Place, pipeline, process, say
from tests.bench.results import Measured
from tests.line import Bench

RECORDS = 300_000
READERS = {"read.streams": "tests.bench.reading_stage", "read.aiokafka": "tests.bench.peers.aiokafka_bare"}


def run(place: Place) -> list[Measured]:
    """Records a second of both, in turn, on the same topic."""
    runs: dict[str, list[float]] = {name: [] for name in READERS}
    rows: list[load.Row] = []
    for _ in range(place.turns):
        with place.line("read", pipeline(1)) as line:
            line.registry.ready_sync("segment.events")
            codec = line.registry.codec("envelope")
            rows = rows or load.accepted(codec, RECORDS, 1, PARTITIONS)
            load.fill(line.config, line.config.prefix + "segment.events", codec.frame, rows)
            for name, module in READERS.items():
                runs[name].append(_once(line, module))
                say(f"{name}: {runs[name][-1]:,.0f} records/s")
    peers = {"read.streams": "read.aiokafka"}
    return [Measured(name, "records/s", found, peers.get(name)) for name, found in runs.items()]


def _once(line: Bench, module: str) -> float:
    """Run a reader; it prints seconds and records, from the end of its first batch to the end of its last."""
    command = [sys.executable, "-m", module, str(line.file), str(RECORDS)]
    with process(command, line.folder / "reader.log", line.env) as child:
        assert child.stdout is not None
        seconds, records = json.loads(child.stdout.readline() or b"[0, 0]")
    if not records:
        raise RuntimeError(f"{module} did not read: {(line.folder / 'reader.log').read_text()[-300:]}")
    return float(records / seconds)
