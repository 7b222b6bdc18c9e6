"""Restore: a store from its changelog, as a worker does that takes a partition over."""

import time

from streams.engine.changelog import POSITION_KEY
from streams.engine.restore import restore
from streams.engine.store import Memory, Store
from tests.bench.load import fill
from tests.bench.place import Place, pipeline, say
from tests.bench.results import Measured

KEYS = 300_000
VALUE = b'[1700000000000,"person@shop.example",1700000000000,null,-1,"u",["u"],["a"],null]'


def run(place: Place) -> list[Measured]:
    """Keys a second, each time into an empty store."""
    runs: list[float] = []
    with place.line("restore", pipeline(1)) as line:
        topic = line.config.prefix + "changelog.identify"
        rows = [(0, b"p" + (n * 2654435761 % 2**128).to_bytes(16), VALUE) for n in range(KEYS)]
        fill(line.config, topic, b"", [*rows, (0, POSITION_KEY, b"{}")])
        for turn in range(place.turns):
            store = Store(line.folder / f"store{turn}", Memory())
            began = time.monotonic()
            applied = restore(line.config.kafka.client(), topic, 0, store, packed=False, tombstones_s=86_400)
            runs.append(applied / (time.monotonic() - began))
            store.close()
            if applied != KEYS + 1:
                raise RuntimeError(f"{applied} records were restored, not {KEYS + 1}")
            say(f"restore.changelog: {runs[-1]:,.0f} keys/s")
    return [Measured("restore.changelog", "keys/s", runs)]
