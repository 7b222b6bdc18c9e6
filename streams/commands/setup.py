"""``streams topics``, ``schemas``, ``init``: what must stand before a line runs."""

from pathlib import Path
from typing import Annotated

import typer

from streams.commands.options import (
    FILE,
    ConfigFile,
    Json,
    answer,
    put_json,
    put_table,
    reached,
    say,
    settings,
)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    topics = typer.Typer(
        help="Kafka's topics, and the slots of spaces and accounts.",
        epilog="Example: streams topics apply",
        no_args_is_help=True,
    )
    topics.command("apply", epilog="Example: streams topics apply")(apply)
    topics.command("list", epilog="Example: streams topics list --json")(list_topics)
    schemas = typer.Typer(
        help="The schemas in the registry.", epilog="Example: streams schemas check", no_args_is_help=True
    )
    schemas.command("check", epilog="Example: streams schemas check --json")(check)
    schemas.command("register", epilog="Example: streams schemas register")(register)
    app.add_typer(topics, name="topics")
    app.add_typer(schemas, name="schemas")
    app.command("init", epilog="Example: streams init --config pipeline.yaml")(init)


def apply(config: ConfigFile = FILE, as_json: Json = False) -> None:
    """Create or mend all topics, number new spaces and accounts. Safe to repeat."""
    from streams.engine import admin

    done = admin.apply(reached(settings(config)), say)
    if as_json:
        put_json({"changes": done})
    elif not done:
        typer.echo("nothing to do")


def list_topics(config: ConfigFile = FILE, as_json: Json = False) -> None:
    """All topics and how they stand; exit 1 if one is not as it should be."""
    from streams.engine import admin

    values = reached(settings(config))
    rows, problems = admin.describe(values), admin.verify(values)
    if as_json:
        put_json({"topics": rows, "problems": problems})
    else:
        put_table(["topic", "schema", "partitions", "replication", "exists"], rows)
        typer.echo("\n".join(problems), nl=bool(problems))
    if problems:
        raise typer.Exit(1)


def check(config: ConfigFile = FILE, as_json: Json = False) -> None:
    """Hold the schemas against the registry; exit 1 if one is missing or not compatible."""
    from streams.engine import schemas

    answer(schemas.check(settings(config)), "all schemas are registered", as_json)


def register(config: ConfigFile = FILE, as_json: Json = False) -> None:
    """Register what is missing, FULL_TRANSITIVE compatible. Safe to repeat."""
    from streams.engine import schemas

    done = schemas.register(settings(config), say)
    if as_json:
        put_json({"changes": done})
    elif not done:
        typer.echo("nothing to do")


def init(config: Annotated[Path, typer.Option("--config", help="Where to write it.")] = FILE) -> None:
    """Write a pipeline.yaml to start from; never over one that is there."""
    from streams.config import starter

    try:
        with config.open("x", encoding="utf-8") as file:
            file.write(starter())
    except FileExistsError:
        say(f"{config} is there already")
        raise typer.Exit(2) from None
    typer.echo(f"{config} is written: set the variables it names, then `streams config check`")
