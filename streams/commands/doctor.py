"""``streams doctor``: is everything as it should be, and what to do where it is not."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from streams.commands.options import FILE, ConfigFile, Json, colours, put_json, settings

if TYPE_CHECKING:
    from streams.ledger.findings import Finding

COLOURS = {"ok": 32, "warn": 33, "fail": 31, "away": 35}


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor", epilog="Example: streams doctor --json")(doctor)


def doctor(config: ConfigFile = FILE, as_json: Json = False) -> None:
    """Look at brokers, topics, stages, accounts, keys and clocks; say what to do where something is amiss.

    Each line is ok, warn, fail or away (it does not answer). Exit 0 if nothing fails, 1 if something does,
    3 if something could not be told. With --json one finding a line.
    """
    from streams.ledger.doctor import examine
    from streams.ledger.findings import exit_code

    findings = []
    for finding in examine(settings(config)):
        findings.append(finding)
        if as_json:
            put_json(asdict(finding))
        else:
            typer.echo(_line(finding))
    if code := exit_code(findings):
        raise typer.Exit(code)


def _line(finding: "Finding") -> str:
    level = f"{finding.level:4}"
    if colours():
        level = f"\x1b[{COLOURS[finding.level]}m{level}\x1b[0m"
    line = f"{level} {finding.check}: {finding.says}"
    return f"{line}\n     → {finding.mend}" if finding.mend else line
