"""``streams config``: the file, checked, shown, described."""

import os
from dataclasses import asdict

import typer

from streams.commands.options import FILE, ConfigFile, Json, put_json, settings


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="The pipeline's file.", no_args_is_help=True)
    group.command("check", epilog="Example: streams config check --config pipeline.yaml")(check)
    group.command("show", epilog="Example: streams config show --json")(show)
    group.command("schema", epilog="Example: streams config schema > pipeline.schema.json")(schema)
    app.add_typer(group, name="config")


def check(config: ConfigFile = FILE, as_json: Json = False) -> None:
    """Find every error of the file, each with its line and what to write; exit 1 if there is one."""
    from streams.config import check as problems_of

    problems = problems_of(config, os.environ)
    if as_json:
        put_json({"problems": [asdict(problem) for problem in problems]})
    else:
        typer.echo("\n".join(map(str, problems)) or f"{config} is well")
    if problems:
        raise typer.Exit(1)


def show(config: ConfigFile = FILE, as_json: Json = False) -> None:
    """Print all values in effect, defaults and environment included; secrets are masked."""
    values = settings(config).model_dump(mode="json", by_alias=True)
    if as_json:
        put_json(values)
    else:
        from ruamel.yaml import YAML

        YAML(typ="safe", pure=True).dump(values, typer.get_text_stream("stdout"))


def schema() -> None:
    """Print the file's JSON Schema, for editors."""
    from streams.config import Config

    put_json(Config.model_json_schema())
