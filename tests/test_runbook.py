"""Whoever is woken finds a page: each log event that warns, and each check, has a heading in the runbook."""

import ast
import re
from pathlib import Path

from typer.main import get_command

import streams
from streams.cli import app

ROOT = Path(streams.__file__).parent
RUNBOOK = (ROOT.parent / "deploy" / "runbook.md").read_text()
HEADINGS = set(re.findall(r"^#+ (.+)$", RUNBOOK, re.MULTILINE))
OTHERS = {"local", "simulators"}
"""Rooms that run on nobody's production."""


def first_texts(tree: ast.AST, names: set[str]) -> set[str]:
    """Names in snake case that these functions or methods are first given."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            text = node.args[0].value
            if name in names and isinstance(text, str) and re.fullmatch("[a-z_]+", text):
                found.add(text)
    return found


def test_every_warning_and_error_has_a_heading() -> None:
    events: set[str] = set()
    for path in ROOT.rglob("*.py"):
        if path.relative_to(ROOT).parts[0] not in OTHERS:
            events |= first_texts(ast.parse(path.read_text()), {"warning", "error", "level"})
    assert "lane_stopped" in events
    assert events <= HEADINGS


def test_every_check_of_the_doctor_has_a_heading() -> None:
    checks: set[str] = set()
    for name in ("doctor", "diagnosis", "account_rules", "scopes"):
        tree = ast.parse((ROOT / "ledger" / f"{name}.py").read_text())
        checks |= first_texts(tree, {"ok", "warn", "fail", "away", "_told", "_untold"})
    assert {"brokers", "keys"} <= checks
    assert checks <= HEADINGS


def test_every_command_it_names_is_one() -> None:
    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    named = set(re.findall(r"(?:`|^)streams ([a-z-]+)", RUNBOOK, re.MULTILINE))
    assert named
    assert named <= known
