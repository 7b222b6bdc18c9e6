"""``streams config``: the file, checked, shown, described."""

import os
from dataclasses import asdict

import typer

from streams.commands.options import FILE, ConfigFile, Json, put_json, settings


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help="The pipeline's file.", epilog="Example: streams config check", no_args_is_help=True
    )
    group.command("check", epilog="Example: streams config check --config pipeline.yaml")(check)
    group.command("show", epilog="Example: streams config show --json")(show)
    group.command("schema", epilog="Example: streams config schema > pipeline.schema.json")(schema)
    app.add_typer(group, name="config")


def check(config: ConfigFile = FILE, as_json: Json = False) -> None:
    """Find every error of the file and its contracts, each with its line and what to write; exit 1 if any."""
    from streams.config import check as problems_of

    problems = problems_of(config, os.environ)
    if not problems:
        from streams.segment import plan_files

        problems = plan_files.check(settings(config))
    if as_json:
        put_json({"problems": [asdict(problem) for problem in problems]})
    else:
        typer.echo("\n".join(map(str, problems)) or f"{config} is well")
    if problems:
        raise typer.Exit(1)


def show(config: ConfigFile = FILE, as_json: Json = False) -> None:
    """Print all values in effect, defaults and environment included; secrets are masked."""
    from streams.config import show as shown

    values = settings(config)
    if as_json:
        put_json(values.model_dump(mode="json", by_alias=True))
    else:
        typer.echo(shown(values), nl=False)


def schema() -> None:
    """Print the file's JSON Schema, for editors."""
    from streams.config import schema as found

    put_json(found())
