"""``streams gateway`` and ``worker``: the processes of the line."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from streams.commands.options import (
    FILE,
    PARENT,
    ConfigFile,
    end_with_parent,
    put_ready,
    settings,
    start_logging,
)


class StageName(StrEnum):
    """The stages in the order of the line."""

    DEDUPE = "dedupe"
    IDENTIFY = "identify"
    ROUTE = "route"
    DELIVER = "deliver"
    FEEDBACK = "feedback"


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("gateway", epilog="Example: streams gateway --config pipeline.yaml")(gateway)
    app.command("worker", epilog="Example: streams worker dedupe identify")(worker)


def gateway(
    reuse_port: Annotated[bool, typer.Option("--reuse-port", help="Share the port with others.")] = False,
    config: ConfigFile = FILE,
) -> None:
    """Accept Segment's and Klaviyo's events; prints READY and the URLs when the ports answer."""
    import uvloop

    from streams.gateway import server

    start_logging("gateway")
    values = settings(config)
    end_with_parent()
    uvloop.run(server.run(values, ready=put_ready, reuse_port=reuse_port))


def worker(
    stages: Annotated[list[StageName] | None, typer.Argument(help="All, if none is named.")] = None,
    skip_deleted: Annotated[
        bool,
        typer.Option(help="Go on without records that their topic deleted unread, instead of ending."),
    ] = False,
    config: ConfigFile = FILE,
) -> None:
    """Run stages: one in this process, several as child processes that are restarted when they end."""
    named = stages or list(StageName)
    values = settings(config)
    start_logging(named[0] if len(named) == 1 else "worker")
    end_with_parent()
    if len(named) > 1:
        more = ["--skip-deleted"] if skip_deleted else []
        from streams.engine.supervisor import supervise

        raise typer.Exit(supervise({stage.value: _command(stage, config, more) for stage in named}, PARENT))
    from functools import partial

    import uvloop

    from streams import wiring
    from streams.engine.worker import run

    raise typer.Exit(
        uvloop.run(run(values, partial(wiring.build, named[0].value), skip_deleted=skip_deleted))
    )


def _command(stage: StageName, config: Path, more: list[str]) -> list[str]:
    return [sys.executable, "-m", "streams", "worker", stage.value, "--config", str(config), *more]
