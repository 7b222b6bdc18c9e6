"""The house, held by its syntax trees: imports go one way, rules do no I/O."""

import ast
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import streams

ROOT = Path(streams.__file__).parent
STAGES = {"dedupe", "identify", "route", "deliver", "feedback"}
TIERS = [
    {"config"},
    {"engine"},
    {"segment", "klaviyo", "ledger"},
    STAGES | {"gateway", "simulators"},
    {"wiring", "local"},
    {"commands"},
    {"cli", "__main__"},
]
"""A room imports from its own tier or those before, and no stage, gateway or simulator imports another."""
TIER = {room: n for n, tier in enumerate(TIERS) for room in tier}

SHELLS = {
    "segment": {"client.py", "plan_files.py"},
    "klaviyo": {"client.py"},
    "ledger": {
        *("asking.py", "audit.py", "confirmed.py", "dead_letters.py", "doctor.py", "redrive.py", "replay.py"),
        *("sole_writer.py", "span.py", "trace.py", "writer.py"),
    },
    "dedupe": {"agent.py"},
    "identify": {"agent.py"},
    "route": {"agent.py"},
    "deliver": {
        *("agent.py", "brake.py", "calling.py", "desk.py", "pages.py", "polling.py", "readback.py"),
        *("rereads.py", "sender.py"),
    },
    "feedback": {"agent.py"},
}
"""The files of a room that do I/O, or ask for the time; all others are pure."""
FOREIGN = {
    "aiohttp", "aiokafka", "asyncio", "concurrent", "confluent_kafka", "faust", "http", "logging",
    "multiprocessing", "opentelemetry", "os", "pathlib", "random", "requests", "rocksdict", "secrets",
    "selectors", "signal", "socket", "subprocess", "sys", "threading", "time", "urllib", "uuid",
    "uvloop",
}  # fmt: skip
"""Modules by which the world comes in."""
CLOCKS = {"now", "utcnow", "today", "open", "print", "input"}


def files(room: str = "") -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", files(), ids=name_of)
def test_imports_go_one_way(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        return
    for name in imports(ast.parse(path.read_text())):
        first, _, rest = name.partition(".")
        other = rest.partition(".")[0]
        if first != "streams" or other in {room, "__version__", ""}:
            continue
        lower = TIER[other] < TIER[room]
        beside = TIER[other] == TIER[room] and room not in TIERS[3]
        assert lower or beside, f"streams/{name_of(path)} imports {name}"


def pure_files() -> list[Path]:
    return [
        path
        for room, shells in SHELLS.items()
        for path in files(room)
        if path.name not in shells and path.name != "__init__.py"
    ]


@pytest.mark.parametrize("path", pure_files(), ids=name_of)
def test_rules_do_no_io(path: Path) -> None:
    """No await, clock, environment, log or network in a file that is not a shell of its room."""
    tree = ast.parse(path.read_text())
    for name in set(imports(tree)) - {"random.Random"}:  # a given generator is a value
        assert name.partition(".")[0] not in FOREIGN, f"{name_of(path)} imports {name}"
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Await | ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith)
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            assert name not in CLOCKS, f"{name_of(path)}:{node.lineno} calls {name}"


MEASURES = sorted(path for room in ("bench", "soak") for path in (ROOT.parent / "tests" / room).rglob("*.py"))


@pytest.mark.parametrize("path", MEASURES, ids=lambda path: str(path.relative_to(ROOT.parent)))
def test_what_measures_import_is_there(path: Path) -> None:
    """They run seldom, and their peers in environments of their own."""
    for name in imports(ast.parse(path.read_text())):
        if name.startswith("streams."):
            pkgutil.resolve_name(name)


@pytest.mark.parametrize("room", SHELLS)
def test_each_shell_that_is_named_exists(room: str) -> None:
    """What is excused from being pure is there to be excused."""
    missing = {name for name in SHELLS[room] if not list((ROOT / room).rglob(name))}
    assert not missing
