"""``streams dev``, ``demo``, ``simulate``, ``stack``: the line on one machine, without Klaviyo or Segment."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from streams.commands.options import (
    FILE,
    ConfigFile,
    Json,
    end_with_parent,
    put_json,
    put_ready,
    say,
    start_logging,
)


class Simulator(StrEnum):
    """Who is played."""

    KLAVIYO = "klaviyo"
    SEGMENT = "segment"


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("dev", epilog="Example: streams dev --ready-file /tmp/ready.json")(dev)
    app.command("demo", epilog="Example: streams demo --keep")(demo)
    app.command("simulate", epilog="Example: streams simulate klaviyo --port 8090")(simulate)
    group = typer.Typer(
        help="A Kafka broker and a registry on this machine.",
        epilog="Example: streams stack up",
        no_args_is_help=True,
    )
    group.command("up", epilog="Example: streams stack up --json")(up)
    group.command("down", epilog="Example: streams stack down")(down)
    group.command("status", epilog="Example: streams stack status --json")(status)
    app.add_typer(group, name="stack")


def dev(
    fresh: Annotated[bool, typer.Option("--fresh", help="Start from nothing.")] = False,
    port_base: Annotated[
        int | None, typer.Option("--port-base", help="Ports from here on, not free ones.")
    ] = None,
    ready_file: Annotated[
        Path | None, typer.Option("--ready-file", help="Where to write what READY says.")
    ] = None,
    config: ConfigFile = FILE,
) -> None:
    """Run the whole line against simulators until Ctrl-C; prints READY and where everything is."""
    from streams.local import line

    start_logging("dev")
    raise typer.Exit(line.dev(config, fresh=fresh, port_base=port_base, ready_file=ready_file))


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Stay up after the summary until Ctrl-C.")] = False,
    as_json: Json = False,
) -> None:
    """Send a day of a shop through the line, prove what became of it, write build/demo.json."""
    from streams.local import demo as room

    start_logging("demo")
    raise typer.Exit(room.run(keep=keep, as_json=as_json))


def simulate(
    who: Annotated[Simulator, typer.Argument(help="Whom to play.")],
    port: Annotated[int, typer.Option("--port", help="0 takes a free one.")] = 0,
    settings_file: Annotated[
        Path | None, typer.Option("--settings", help="What PUT /sim/config would set, a JSON file.")
    ] = None,
) -> None:
    """Play Klaviyo or Segment on 127.0.0.1 until Ctrl-C; prints READY and the URL."""
    import asyncio

    start_logging(who)
    end_with_parent()

    def ready(url: str) -> None:
        put_ready({who.value: url})

    try:
        text = settings_file.read_text() if settings_file else "{}"
        if who is Simulator.KLAVIYO:
            from streams.simulators.klaviyo import server as klaviyo
            from streams.simulators.klaviyo.config import SimConfig

            playing = klaviyo.serve(port, SimConfig.model_validate_json(text), ready)
        else:
            from streams.simulators.segment import server as segment
            from streams.simulators.segment.config import SegmentConfig

            playing = segment.serve(port, SegmentConfig.model_validate_json(text), ready)
    except ValueError as error:
        raise typer.BadParameter(f"{settings_file}: {error}", param_hint="--settings") from None
    asyncio.run(playing)


def up(as_json: Json = False) -> None:
    """Start what is not running: by Docker if there is an engine, else from Java."""
    from streams.local import stack

    found = stack.up(stack.default_folder(), say=say)
    if as_json:
        put_json({"kafka": found.kafka, "registry": found.registry, "pids": found.pids})
    else:
        typer.echo(f"Kafka {found.kafka}, registry {found.registry}")


def down() -> None:
    """Stop what `up` started; topics and schemas stay."""
    from streams.local import stack

    stack.down(stack.default_folder())


def status(as_json: Json = False) -> None:
    """Say how the stack stands; exit 3 if it does not run."""
    from streams.local import stack

    found, text = stack.status(stack.default_folder())
    if as_json:
        rows = {"kafka": found.kafka, "registry": found.registry, "pids": found.pids} if found else {}
        put_json({"running": found is not None, **rows})
    else:
        typer.echo(text)
    if found is None:
        raise typer.Exit(3)
