"""A measured row, its floor, and build/bench.json."""

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from tests.bench.appended import Pace

RESULT: Final = Path("build/bench.json")
LIBRARIES: Final = (
    "aiohttp",
    "aiokafka",
    "confluent-kafka",
    "fastavro",
    "faust-streaming",
    "rocksdict",
    "uvloop",
)
_FLOORS: Final = Path(__file__).with_name("floors.json")
FLOORS: Final[dict[str, float]] = json.loads(_FLOORS.read_text())
"""About 60 % of what was measured on two shared cores; for a time or a cost it is the ceiling."""
SHARE: Final = 0.6
LESS_IS_BETTER: Final = frozenset({"ms", "µs/event"})


@dataclass(frozen=True, slots=True)
class Measured:
    """One row's runs. Without runs ``reason`` says why it could not be measured."""

    name: str
    unit: str
    runs: Sequence[float]
    peer: str | None = None
    """Name of the row it is compared with."""
    reason: str | None = None

    @property
    def value(self) -> float | None:
        """The median of the runs."""
        return statistics.median(self.runs) if self.runs else None


def paced(
    name: str, runs: Sequence[Pace], *, peer: str | None = None, reason: str | None = None
) -> list[Measured]:
    """Two rows: the speed, and the processor time it took, which other work on the machine changes little."""
    return [
        Measured(name, "events/s", [run.per_second for run in runs], peer, reason),
        Measured(
            f"{name}.cpu", "µs/event", [run.cpu_us for run in runs], f"{peer}.cpu" if peer else None, reason
        ),
    ]


def rows(measured: Sequence[Measured]) -> list[dict[str, Any]]:
    """The document's rows; a ratio is this row to its peer's, both of the same run of the benchmark."""
    values = {each.name: each.value for each in measured}
    return [_row(each, values.get(each.peer or "")) for each in measured]


def _row(each: Measured, peer: float | None) -> dict[str, Any]:
    floor = FLOORS.get(each.name)
    row: dict[str, Any] = {
        "name": each.name,
        "value": _rounded(each.value),
        "unit": each.unit,
        "runs": [_rounded(run) for run in each.runs],
        "peer": each.peer,
        "ratio": round(each.value / peer, 3) if each.value and peer else None,
        "floor": floor,
        "ok": _ok(each, floor),
    }
    return row | ({"reason": each.reason} if each.reason else {})


def _ok(each: Measured, floor: float | None) -> bool | None:
    if each.value is None or floor is None:
        return None
    return each.value <= floor if each.unit in LESS_IS_BETTER else each.value >= floor


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1) if value < 1000 else round(value)


def document(measured: Sequence[Measured]) -> dict[str, Any]:
    """All of build/bench.json."""
    return {
        "machine": machine(),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in LIBRARIES},
        "commit": _said("git", "rev-parse", "HEAD"),
        "rows": rows(measured),
    }


def machine() -> dict[str, Any]:
    """What it ran on, and how busy that was with other things."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    cpu = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cores": os.cpu_count(),
        "cpu": cpu[0].partition(": ")[2] if cpu else platform.machine(),
        "memory_gb": round(memory / 2**30),
        "system": platform.platform(),
        "load_at_end": round(os.getloadavg()[0], 1),
    }


def _said(*command: str) -> str | None:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    return ran.stdout.strip() or None


def write(found: dict[str, Any]) -> None:
    """Write the document."""
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def set_floors(measured: Sequence[Measured]) -> None:
    """Set the floors anew by what was just measured; peers have none."""
    peers = {each.peer for each in measured}
    floors = {
        each.name: float(f"{each.value / SHARE if each.unit in LESS_IS_BETTER else each.value * SHARE:.2g}")
        for each in measured
        if each.value is not None and each.name not in peers
    }
    _FLOORS.write_text(json.dumps(FLOORS | floors, indent=1, sort_keys=True) + "\n")
