"""``streams contracts``: what events must be, how traffic keeps to it, and what it has been so far."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.commands.options import FILE, ConfigFile, Json, put_json, reached, say, settings

if TYPE_CHECKING:
    from streams.config import Config

Since = Annotated[str, typer.Option("--since", help="From when on: an age such as 7d, or ISO 8601.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help="What the properties of events must be.",
        epilog="Example: streams contracts report --since 7d",
        no_args_is_help=True,
    )
    group.command("report", epilog="Example: streams contracts report --since 7d --json")(report)
    group.command("learn", epilog="Example: streams contracts learn messages.ndjson --write contracts")(learn)
    group.command("page", epilog="Example: streams contracts page --out build/contracts.html")(page)
    app.add_typer(group, name="contracts")


def report(since: Since = "7d", config: ConfigFile = FILE, as_json: Json = False) -> None:
    """Tell for each event how many came, and where they break the contract as it is now.

    Reads what was accepted, and what was refused for its contract.
    """
    from streams.ledger.reasons import Reason
    from streams.ledger.span import span
    from streams.segment import plan_files
    from streams.segment.adherence import Adherence, readable

    values = settings(config)
    plan = plan_files.load(values)
    at = _moment(since)
    found = Adherence(plan.contracts, plan.levels)
    for message in _accepted(values, at):
        found.take(message)
    for _, letter in span(values, "dead.letters", at):
        refused = _parsed(letter["bytes"]) if letter["reason"] == Reason.CONTRACT else None
        if refused is not None:
            found.take(refused, refused=True)
    document = found.document()
    if as_json:
        put_json({"since": at} | document)
    else:
        typer.echo(readable(document, since))


def learn(
    file: Annotated[
        str | None, typer.Argument(metavar="FILE|-", help="Segment messages, one JSON object a line.")
    ] = None,
    since: Since = "7d",
    write: Annotated[
        Path | None, typer.Option("--write", help="Write one file an event there; never over one.")
    ] = None,
    config: ConfigFile = FILE,
    as_json: Json = False,
) -> None:
    """Infer contracts from a file of messages, or from what came since then.

    A property that was in every one of ten messages or more must be there. Examples of texts are taken only
    where two people had the same. Contracts are printed as JSON, one a line; with --write the files' names
    are, and with --json of each whether it was written.
    """
    from streams.segment.learning import Learner

    learner = Learner()
    messages = _accepted(settings(config), _moment(since)) if file is None else _of_file(file)
    for message in messages:
        learner.see(message)
    if write is not None:
        write.mkdir(parents=True, exist_ok=True)
    for name, schema in learner.contracts():
        if write is None:
            put_json(schema)
            continue
        path = write / f"{name}.avsc"
        written = _written(path, schema)
        if as_json:
            put_json({"event": schema["event"], "file": str(path), "written": written})
        elif written:
            typer.echo(str(path))
        else:
            say(f"{path} is there already")


def _written(path: Path, schema: Any) -> bool:
    """Write a contract's file; False where there is one."""
    try:
        with path.open("x", encoding="utf-8") as out:
            out.write(json.dumps(schema, indent=2, ensure_ascii=False) + "\n")
    except FileExistsError:
        return False
    return True


def page(
    out: Annotated[Path, typer.Option("--out", help="Where to write it.")] = Path("build/contracts.html"),
    config: ConfigFile = FILE,
    as_json: Json = False,
) -> None:
    """Write one HTML page of every event: its properties, examples, and where the rules send it."""
    from streams.commands.contracts_page import html
    from streams.commands.rules import rehearsed
    from streams.segment import plan_files

    values = rehearsed(config)
    plan = plan_files.load(values)
    text = html(values, plan)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")
    if as_json:
        put_json({"file": str(out), "events": sorted(plan.contracts.events)})
    else:
        typer.echo(str(out))


def _moment(since: str) -> int:
    from datetime import UTC, datetime

    from streams.ledger.letters import since_ms

    try:
        return since_ms(since, datetime.now(UTC))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from None


def _accepted(config: "Config", at: int) -> Iterator[dict[str, Any]]:
    from streams.ledger.span import span

    for _, envelope in span(reached(config), "segment.events", at):
        message = _parsed(envelope["body"])
        if message is not None:
            yield message


def _of_file(name: str) -> Iterator[dict[str, Any]]:
    from streams.commands.rules import lines_of

    for line in lines_of(name):
        message = _parsed(line)
        if message is not None:
            yield message


def _parsed(text: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
