"""Memory of a store that holds a million and twenty million keys: it must not grow with them.

``python -m tests.soak.keys FOLDER COUNT…`` is the process that is measured.
"""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from streams.engine.store import Memory, Store
from tests.bench.place import Place, say
from tests.soak.place import memory_mb
from tests.soak.results import Row

COUNTS = 1_000_000, 10_000_000, 20_000_000
"""Keys; at the second count caches and buffers are full, and from there on nothing may grow."""
LOADED = 50_000
LOOKED_UP = 200_000
ASKED = 2_000
VALUE = b'[1700000000000,"person@shop.example",1700000000000,null,-1,"u",["u"],["a"],null]'
GROWTH = 25.0
OPEN_S = 10.0


def run(place: Place, seconds: float | None, rows: int) -> list[Row]:
    """Both sizes, one after the other in one process; then the store is opened again."""
    folder = place.folder / "keys"
    command = [sys.executable, "-m", "tests.soak.keys", str(folder), *map(str, COUNTS)]
    ran = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=1800)
    few, full, many = (json.loads(line) for line in ran.stdout.splitlines())
    began = time.monotonic()
    store = Store(folder, Memory())
    opened = time.monotonic() - began
    store.close()
    growth = round(100 * (many["rss"] / full["rss"] - 1), 1)
    notes = [f"{found['keys']:,} keys, {found['lookup_us']:.1f} µs a key looked up" for found in (few, many)]
    return [
        Row("rss.1m", round(few["rss"]), 400, "MB", note=notes[0]),
        Row("rss.20m", round(many["rss"]), 400, "MB", note=notes[1]),
        Row("rss.growth", growth, GROWTH, "%", note=f"from {full['keys']:,} keys, {full['rss']:.0f} MB"),
        Row("restore.disk", round(opened, 2), OPEN_S, "s", note=f"to open {many['keys']:,} keys again"),
    ]


def key(number: int) -> bytes:
    """Spread over the whole range, as hashes are."""
    return b"p" + (number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128).to_bytes(16)


def fill(folder: Path, counts: list[int]) -> None:
    """Load up to each count, look some up, print what the process holds."""
    store, chance, loaded = Store(folder, Memory()), random.Random(1), 0
    for count in counts:
        while loaded < count:
            store.write(((key(n), VALUE) for n in range(loaded, loaded + LOADED)), loaded)
            loaded += LOADED
            if loaded % 1_000_000 == 0:
                say(f"keys: {loaded:,}")
        began = time.monotonic()
        for _ in range(LOOKED_UP // ASKED):
            found = store.get_many([key(chance.randrange(loaded)) for _ in range(ASKED)])
            if None in found:
                raise RuntimeError("a key that was written is not found")
        each = (time.monotonic() - began) / LOOKED_UP * 1e6
        print(json.dumps({"keys": loaded, "rss": memory_mb(os.getpid()), "lookup_us": each}), flush=True)
    store.close()


if __name__ == "__main__":
    fill(Path(sys.argv[1]), [int(count) for count in sys.argv[2:]])
