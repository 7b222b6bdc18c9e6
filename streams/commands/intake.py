"""``streams import`` and ``bridge``: ways in that are not HTTP."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.commands.options import (
    FILE,
    PARENT,
    ConfigFile,
    Json,
    end_with_parent,
    has_parent,
    put_json,
    reached,
    say,
    settings,
    start_logging,
)

if TYPE_CHECKING:
    from streams.config import Config
    from streams.gateway.importer import Counts, Plan, Watch
    from streams.gateway.rows.mapping import Shape
    from streams.gateway.rows.row import Reader

Location = Annotated[
    str,
    typer.Argument(metavar="FILE|URL", help=".csv, .jsonl, .parquet, or a database's URL (SQLAlchemy)."),
]
IMPORT_EXAMPLES = """Example: streams import customers.csv --source web --id-column user_id
--email-column email

Example: streams import postgresql://reader@db/shop --source web --table customers --cursor updated_at
--id-column id --email-column email --map zip=address.postalCode --map notes= --resume

Example: streams import orders.csv --source web --id-column user_id --event "Order Completed"
--time-column ordered_at --map total=total:number --dry-run | streams dry-run -
"""
BRIDGE_EXAMPLES = """Example: streams bridge --source web --topic segment-web

Example: streams bridge --source app --topic segment-app --group app-bridge --from latest
"""
EVERY_S = 5.0


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("import", epilog=IMPORT_EXAMPLES)(import_command)
    app.command("bridge", epilog=BRIDGE_EXAMPLES)(bridge)


def import_command(
    location: Location,
    source: Annotated[
        str | None, typer.Option("--source", help="Import as this source, for all its spaces.")
    ] = None,
    space: Annotated[str | None, typer.Option("--space", help="Import for this space alone.")] = None,
    id_column: Annotated[str | None, typer.Option("--id-column", help="Holds the user id.")] = None,
    email_column: Annotated[str | None, typer.Option("--email-column", help="Holds the address.")] = None,
    maps: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="COLUMN=TRAIT[:KIND]",
            help="Rename a column; a dot nests, no TRAIT leaves it out. KIND: number, boolean, json, text.",
        ),
    ] = None,
    identify: Annotated[
        bool, typer.Option("--identify", help="A row is an identify, as without --event.")
    ] = False,
    event: Annotated[str | None, typer.Option("--event", help="A row is a track of this event.")] = None,
    time_column: Annotated[
        str | None, typer.Option("--time-column", help="Holds the message's time.")
    ] = None,
    table: Annotated[str | None, typer.Option("--table", help="Of a database.")] = None,
    query: Annotated[str | None, typer.Option("--query", help="SELECT, instead of a table.")] = None,
    cursor: Annotated[
        str | None, typer.Option("--cursor", help="Column of the database that grows with each change.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on where the last run stopped, or with what came since it ended."),
    ] = False,
    send_all: Annotated[
        bool, typer.Option("--send-all", help="Send rows that did not change since the last import, too.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the messages, send nothing; exit 1 if a row is bad.")
    ] = False,
    rate: Annotated[float | None, typer.Option("--rate", min=0.1, help="Rows a second at most.")] = None,
    config: ConfigFile = FILE,
    as_json: Json = False,
) -> None:
    """Bring in rows: each becomes an identify whose traits are its columns, behind all live events.

    Only rows that changed since they were last imported are sent (the data folder keeps what was; without it
    all are, and what Klaviyo has ends as unchanged); with --event, a row is one event, however often it comes
    within dedupe's window. A bad row becomes one dead letter, however often it comes: fix it in the file and
    import again. Each chunk is kept whole or not at all, so an import that was interrupted goes on with
    --resume. Empty CSV fields are left out; null clears a property.
    """
    from streams.gateway.importer import Plan, import_rows
    from streams.gateway.rows.open import open_rows, shown

    if identify and event is not None:
        raise typer.BadParameter("a row is an identify or an event, not both", param_hint="--event")
    if id_column is None and email_column is None:
        raise typer.BadParameter(
            "name the column that says who it is", param_hint="--id-column, --email-column"
        )
    values = settings(config)
    name, spaces = _whose(values, source, space)
    shape = _shape(name, id_column, email_column, event, time_column, maps or [])
    reader = open_rows(location, shape, table=table, query=query, cursor=cursor)
    plan = Plan(
        shown(location), query or table or "", shape, spaces, resume=resume, send_all=send_all, rate=rate
    )
    if dry_run:
        _preview(values, reader, plan)
        return
    reached(values)
    try:
        with _progress(reader) as watch:
            counts = import_rows(values, reader, plan, watch)
    except KeyboardInterrupt:
        say("stopped: the same command with --resume goes on")
        raise
    _tell(counts, as_json)


class Begin(StrEnum):
    """Where a group that has read nothing yet begins."""

    EARLIEST = "earliest"
    LATEST = "latest"


def bridge(
    source: Annotated[str, typer.Option("--source", help="Its messages come in as this source's.")],
    topic: Annotated[str, typer.Option("--topic", help="Of the same cluster; no prefix is put before it.")],
    group: Annotated[
        str | None, typer.Option("--group", help="Consumer group; bridge.SOURCE behind the prefix, if none.")
    ] = None,
    begin: Annotated[Begin, typer.Option("--from", help="Where a new group begins.")] = Begin.EARLIEST,
    config: ConfigFile = FILE,
) -> None:
    """Bring in what Segment's Kafka destination writes to a topic, until SIGTERM or Ctrl-C; each record once.

    One JSON message a record; keys and headers don't matter. Broken ones become dead letters. Start it twice
    and both share the partitions. The topic has to be on the line's own cluster, since only there reading and
    writing can be one transaction; mirror it from another one. It runs as a child process that is started
    again when it ends, and answers /livez, /readyz and /metrics, as the stages do.
    """
    start_logging("bridge")
    values = settings(config)
    if source not in values.sources:
        raise typer.BadParameter(
            f"no source {source}; there are {', '.join(values.sources)}", param_hint="--source"
        )
    spaces = values.sources[source].spaces
    name = group or f"{values.prefix}bridge.{source}"
    if not has_parent():
        from streams.engine.supervisor import supervise

        command = [sys.executable, "-m", "streams", "bridge", "--source", source, "--topic", topic]
        command += ["--group", name, "--from", begin.value, "--config", str(config)]
        raise typer.Exit(supervise({"bridge": command}, PARENT))
    import uvloop

    from streams.gateway.bridge_server import serve
    from streams.gateway.foreign import Crossing

    end_with_parent()
    uvloop.run(serve(values, Crossing(topic, name, source, spaces, begin.value)))


def _whose(config: "Config", source: str | None, space: str | None) -> tuple[str, tuple[str, ...]]:
    """The source's name in the messages, and the spaces."""
    if (source is None) == (space is None):
        raise typer.BadParameter("give --source or --space, one of them")
    if source is not None and source not in config.sources:
        raise typer.BadParameter(
            f"no source {source}; there are {', '.join(config.sources)}", param_hint="--source"
        )
    if space is not None and space not in config.spaces:
        raise typer.BadParameter(
            f"no space {space}; there are {', '.join(config.spaces)}", param_hint="--space"
        )
    return ("import", (space,)) if space is not None else (source or "", config.sources[source or ""].spaces)


def _shape(
    name: str,
    id_column: str | None,
    email_column: str | None,
    event: str | None,
    time_column: str | None,
    maps: list[str],
) -> "Shape":
    from streams.gateway.rows.mapping import Shape, target

    try:
        targets = dict(target(text) for text in maps)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--map") from None
    return Shape(name, id_column, email_column, event, time_column, targets)


def _preview(config: "Config", reader: "Reader", plan: "Plan") -> None:
    from streams.gateway.importer import preview

    bad = 0
    for number, found in preview(config, reader, plan):
        if isinstance(found, bytes):
            typer.echo(found)
        else:
            bad += 1
            say(f"row {number}: {found.detail}")
    if bad:
        say(f"{bad} bad rows")
        raise typer.Exit(1)


@contextmanager
def _progress(reader: "Reader") -> "Iterator[Watch]":
    """A bar for a person, a line now and then for a log; on stderr."""
    if sys.stderr.isatty():
        with _bar(reader) as watch:
            yield watch
        return
    last = time.monotonic()

    def watch_plainly(counts: "Counts", done: int) -> None:
        nonlocal last
        if time.monotonic() - last >= EVERY_S:
            last = time.monotonic()
            of = f" of {reader.total}" if reader.total else ""
            say(f"{counts.rows} rows, {counts.refused} of them bad; {done}{of} {reader.unit} read")

    yield watch_plainly


@contextmanager
def _bar(reader: "Reader") -> "Iterator[Watch]":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns: list[Any] = [
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("rows", total=reader.total)

        def watch(counts: "Counts", done: int) -> None:
            speed = counts.rows / max(counts.seconds, 0.001)
            text = f"{counts.rows:,} rows, {counts.refused:,} bad, {speed:,.0f}/s"
            progress.update(task, completed=done, description=text)

        yield watch


def _tell(counts: "Counts", as_json: bool) -> None:
    speed = round(counts.rows / max(counts.seconds, 0.001))
    if as_json:
        put_json(asdict(counts) | {"seconds": round(counts.seconds, 3), "rows_per_s": speed})
        return
    behind = f" (behind {counts.resumed_after} of earlier runs)" if counts.resumed_after else ""
    known = f" ({counts.known} of them known from before)" if counts.known else ""
    typer.echo(
        f"{counts.rows} rows{behind}: {counts.sent} sent, {counts.unchanged} unchanged, "
        f"{counts.refused} dead letters{known}; {counts.seconds:.1f} s, {speed} rows/s"
    )
    if counts.refused:
        typer.echo("see `streams dead-letters list --stage import`, fix these rows in the file, import again")
