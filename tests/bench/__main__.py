"""``python -m tests.bench [NAMES…] [--strict]``: measure, print a table, write build/bench.json."""

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from rich.console import Console
from rich.table import Table

from streams.local import stack
from streams.local.fetch import data_folder
from tests.bench.place import Place, say
from tests.bench.results import RESULT, Measured, document, set_floors, write

BENCHES = ("read", "gateway", "resolve", "route", "deliver", "restore", "e2e")


def main() -> int:
    """Run what is named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAMES", help=f"of {', '.join(BENCHES)}; all, if none is named"
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a row misses its floor")
    parser.add_argument("--turns", type=int, default=3, help="runs of each row, of which the median counts")
    parser.add_argument("--set-floors", action="store_true", help="take this run's rows as the new measure")
    options = parser.parse_args()
    unknown = set(options.names) - set(BENCHES)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    measured = _measure(options.names or BENCHES, options.turns)
    found = document(measured)
    write(found)
    _table(found["rows"])
    if options.set_floors:
        set_floors(measured)
        return 0
    missed = [row["name"] for row in found["rows"] if row["ok"] is False]
    if missed:
        say(f"below the floor: {', '.join(missed)}")
    return 1 if options.strict and missed else 0


def _measure(names: Sequence[str], turns: int) -> list[Measured]:
    folder = data_folder() / "bench"
    runs = folder / "runs"
    stack.down(folder / "stack")
    for old in (folder / "stack", runs):
        shutil.rmtree(old, ignore_errors=True)
    runs.mkdir(parents=True)
    measured: list[Measured] = []
    try:
        place = Place(stack.up(folder / "stack", say=say), runs, turns)
        for name in names:
            began = time.monotonic()
            run: Callable[[Place], list[Measured]] = import_module(f"tests.bench.{name}").run
            try:
                measured += run(place)
            except Exception as error:  # one row that fails costs only itself, and says so
                say(f"{name}: {error!r}")
                measured.append(Measured(name, "", [], reason=repr(error)))
            say(f"{name}: {time.monotonic() - began:.0f} s")
    finally:
        stack.down(folder / "stack")
        shutil.rmtree(folder / "stack", ignore_errors=True)
        shutil.rmtree(runs, ignore_errors=True)
    return measured


def _table(rows: list[dict[str, Any]]) -> None:
    table = Table("row", "value", "unit", "runs", "to its peer", "floor", "")
    for row in rows:
        runs = " ".join(f"{run:,.0f}" for run in row["runs"])
        ratio = f"{row['ratio']:.2f} of {row['peer']}" if row["ratio"] else ""
        said = {True: "ok", False: "MISSED", None: row.get("reason", "")[:60]}[row["ok"]]
        value, floor = (f"{row[key]:,.0f}" if row[key] is not None else "" for key in ("value", "floor"))
        table.add_row(row["name"], value, row["unit"], runs, ratio, floor, said)
    Console(width=max(110, Console().width)).print(table)
    say(f"→ {RESULT}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
