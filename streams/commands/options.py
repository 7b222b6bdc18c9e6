"""Options that many commands share, and how they print."""

import json
import os
import signal
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from streams.config import Config

FILE = Path("pipeline.yaml")
PARENT = "STREAMS_PARENT_PIPE"
"""Number of the pipe that closes when the parent ends, however it ends."""
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
ConfigFile = Annotated[Path, typer.Option("--config", help="The pipeline's file.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def settings(file: Path) -> "Config":
    """The checked configuration. Raises ConfigError."""
    from streams.config import load

    return load(file, os.environ)


def reached(config: "Config", patience_s: float = 0.0) -> "Config":
    """The configuration, once a broker answers: what every command that needs one begins with.

    Args:
        config: names the brokers.
        patience_s: wait for so long, if that is longer than the usual few seconds.

    Raises:
        Away: none does; names the address.
    """
    from streams.engine.reach import REACH_S, reach

    reach(config.kafka.client(), max(patience_s, REACH_S))
    return config


def start_logging(stage: str) -> None:
    """Log lines go to stderr from now on; ``STREAMS_LOG`` is the least level that shows."""
    from streams.engine.telemetry import setup_logging

    level = os.environ.get("STREAMS_LOG") or "INFO"
    if level.upper() not in LEVELS:
        raise typer.BadParameter(f"no level {level}; there are {', '.join(LEVELS)}", param_hint="STREAMS_LOG")
    setup_logging(stage, level=level)


def say(text: str) -> None:
    """Progress, on stderr: results alone are on stdout."""
    typer.echo(text, err=True)


def put_json(value: Any) -> None:
    """One JSON value on one line."""
    typer.echo(json.dumps(value, default=str, ensure_ascii=False))


def put_ready(value: Mapping[str, Any]) -> None:
    """The line that tells whoever started us that everything answers."""
    typer.echo("READY " + json.dumps(value))
    sys.stdout.flush()


def utc(ms: int | None) -> str | None:
    """Milliseconds since the epoch as ISO 8601, to the second."""
    from datetime import UTC, datetime

    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")


def put_table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Rows under their columns, one line a row however narrow the terminal: nothing is cut off."""
    cells = [columns, *([_cell(row.get(column)) for column in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for number, row in enumerate(cells):
        line = "  ".join(map(str.ljust, row, widths)).rstrip()
        typer.echo(typer.style(line, bold=True) if number == 0 and colours() else line)


def _cell(value: Any) -> str:
    """A value on one line, without what would move the terminal's cursor."""
    from streams.ledger.letters import shown

    return "" if value is None else shown(" ".join(str(value).split()))


def colours() -> bool:
    """Whether stdout is a person's, who did not set NO_COLOR."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def answer(problems: Sequence[str], well: str, as_json: bool) -> None:
    """Problems and exit code 1, or that all is well."""
    if as_json:
        put_json({"problems": list(problems)})
    else:
        typer.echo("\n".join(problems) or well)
    if problems:
        raise typer.Exit(1)


def has_parent() -> bool:
    """Whether a supervisor started us, and starts us again should we end."""
    return PARENT in os.environ


def end_with_parent() -> None:
    """If a parent gave us a pipe, end when it closes: the kernel closes it at kill -9, too."""
    number = os.environ.pop(PARENT, None)
    if number is None:
        return

    def wait(pipe: int) -> None:
        while os.read(pipe, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, args=(int(number),), name="parent", daemon=True).start()
