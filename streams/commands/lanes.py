"""``streams lanes``: the switch to stop sending at once."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from streams.commands.options import FILE, ConfigFile, Json, put_json, put_table, reached, settings, utc

if TYPE_CHECKING:
    from streams.config import Config

Which = Annotated[
    str | None, typer.Argument(metavar="ACCOUNT[/LANE]", help="One lane, or all of an account.")
]
All = Annotated[bool, typer.Option("--all", help="Every lane of every account.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help="An account's lanes to Klaviyo and Segment.",
        epilog="Example: streams lanes list",
        no_args_is_help=True,
    )
    group.command("list", epilog="Example: streams lanes list --json")(list_lanes)
    group.command("pause", epilog='Example: streams lanes pause acme/events --reason "wrong metric"')(pause)
    group.command("resume", epilog="Example: streams lanes resume acme/events")(resume)
    app.add_typer(group, name="lanes")


def list_lanes(config: ConfigFile = FILE, as_json: Json = False) -> None:
    """Show each lane: live, paused, guarded or stopped; why, since when; how many records wait.

    It is read from Kafka, whether a worker runs or not: a lane that stopped says so until it has sent again.
    """
    from streams.engine import lanes

    rows = lanes.listing(reached(settings(config)))
    if as_json:
        for row in rows:
            put_json(row)
    else:
        told = [row | {"since": utc(row["since"])} for row in rows]
        put_table(["account", "lane", "state", "since", "lag", "reason"], told)


def pause(
    which: Which = None,
    everything: All = False,
    reason: Annotated[str, typer.Option("--reason", help="Shown wherever the lane is shown.")] = "",
    config: ConfigFile = FILE,
) -> None:
    """Stop sending within a second; what waits is kept."""
    from streams.engine import lanes

    if not reason:
        raise typer.BadParameter("say why: it is shown wherever the lane is shown", param_hint="--reason")
    values = settings(config)
    chosen = list(_chosen(values, which, everything))
    lanes.pause(reached(values), chosen, reason)
    typer.echo(f"paused: {', '.join(chosen)}")


def resume(which: Which = None, everything: All = False, config: ConfigFile = FILE) -> None:
    """Send again."""
    from streams.engine import lanes

    values = settings(config)
    chosen = list(_chosen(values, which, everything))
    lanes.resume(reached(values), chosen)
    typer.echo(f"resumed: {', '.join(chosen)}")


def _chosen(config: "Config", which: str | None, everything: bool) -> Iterator[str]:
    from streams.engine import lanes

    if everything == (which is not None):
        raise typer.BadParameter("name ACCOUNT or ACCOUNT/LANE, or write --all")
    account, _, lane = (which or "").partition("/")
    if which and account not in config.accounts:
        raise typer.BadParameter(f"no account {account}; there are {', '.join(config.accounts)}")
    if lane and lane not in lanes.ALL:
        raise typer.BadParameter(f"no lane {lane}; there are {', '.join(lanes.ALL)}")
    for name in [account] if which else config.accounts:
        yield from (f"{name}/{each}" for each in ([lane] if lane else lanes.ALL))
