"""A row of build/soak.json: what was promised, what was seen."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from tests.bench.results import _said, machine

RESULT: Final = Path("build/soak.json")


@dataclass(frozen=True, slots=True)
class Row:
    """``least``: the value must reach the target; else it must not exceed it."""

    name: str
    value: float
    target: float
    unit: str = ""
    least: bool = False
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether the promise held."""
        return self.value >= self.target if self.least else self.value <= self.target


def share(name: str, value: float, target: float, note: str = "") -> Row:
    """A percentage that must be reached."""
    return Row(name, round(value * 100, 2), target, "%", least=True, note=note)


def document(rows: Sequence[Row], seconds: float) -> dict[str, Any]:
    """All of build/soak.json; rows of runs before stay until they are measured again."""
    commit = _said("git", "rev-parse", "HEAD")
    made = {row.name: asdict(row) | {"ok": row.ok, "seconds": seconds, "commit": commit} for row in rows}
    before = json.loads(RESULT.read_text())["rows"] if RESULT.exists() else []
    kept = {row["name"]: row for row in before}
    return {"machine": machine(), "rows": list((kept | made).values())}


def write(found: dict[str, Any]) -> None:
    """Write the document."""
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
