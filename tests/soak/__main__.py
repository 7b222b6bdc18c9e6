"""``python -m tests.soak [NAMES…] [--seconds N]``: real windows and minutes; a table and a document."""

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table

from streams.local import stack
from streams.local.fetch import data_folder
from tests.bench.place import Place, say
from tests.soak import backlog, consent, keys, steady, stolen, zombie
from tests.soak.results import RESULT, Row, document, write

Soak = Callable[[Place, float | None, int], list[Row]]
SOAKS: dict[str, Soak] = {
    "backlog": backlog.run,
    "killed": backlog.run_killed,
    "stolen": stolen.run,
    "zombie": zombie.run,
    "steady": steady.run,
    "bulk": steady.run_bulk,
    "keys": keys.run,
    "consent": consent.run,
}


def main() -> int:
    """Run what is named, or all; 1 if a promise was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAMES", help=f"of {', '.join(SOAKS)}; all, if none is named"
    )
    parser.add_argument("--seconds", type=float, help="length of each instead of its own (2 to 5 minutes)")
    parser.add_argument(
        "--rows",
        type=int,
        default=100,
        help="events that fill a bulk call, at most 1000: fewer and larger ones are less work",
    )
    options = parser.parse_args()
    unknown = set(options.names) - set(SOAKS)
    if unknown:
        parser.error(f"no soak {', '.join(sorted(unknown))}; there are {', '.join(SOAKS)}")
    rows = _run(options.names or list(SOAKS), options.seconds, options.rows)
    write(document(rows, options.seconds or 0))
    _table(rows)
    return 0 if all(row.ok for row in rows) else 1


def _run(names: Sequence[str], seconds: float | None, many: int) -> list[Row]:
    folder = data_folder() / "soak"
    runs = folder / "runs"
    stack.down(folder / "stack")
    for old in (folder / "stack", runs):
        shutil.rmtree(old, ignore_errors=True)
    runs.mkdir(parents=True)
    rows: list[Row] = []
    try:
        place = Place(stack.up(folder / "stack", say=say), runs, 1)
        for name in names:
            began = time.monotonic()
            try:
                found = SOAKS[name](place, seconds, many)
            except (RuntimeError, AssertionError, OSError) as error:  # one that fails costs only itself
                found = [Row(name, 1, 0, note=str(error))]
            rows += found
            say(f"{name}: {time.monotonic() - began:.0f} s")
            for row in found:
                say(f"  {row.name} {row.value:g}{row.unit} {'ok' if row.ok else 'MISSED'} {row.note}")
    finally:
        stack.down(folder / "stack")
        shutil.rmtree(folder / "stack", ignore_errors=True)
    return rows


def _table(rows: Sequence[Row]) -> None:
    table = Table("name", "value", "target", "ok", "")
    for row in rows:
        target = f"{'≥' if row.least else '≤'} {row.target:g}{row.unit}"
        table.add_row(
            row.name, f"{row.value:g}{row.unit}", target, "ok" if row.ok else "MISSED", row.note[:80]
        )
    Console(width=max(130, Console().width)).print(table)
    say(f"→ {RESULT}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
