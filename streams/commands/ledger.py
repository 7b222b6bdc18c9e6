"""``streams audit`` and ``dead-letters``: what became of each event."""

import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from streams.commands import redrive
from streams.commands.options import FILE, ConfigFile, Json, put_json, put_table, reached, say, settings, utc
from streams.commands.redrive import AccountName, Event, Lane, Reason, Since, Stage, Until, filters_of


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("audit", epilog="Example: streams audit --json --wait 30")(audit)
    group = typer.Typer(
        help="What could not go on, with its untouched bytes and why.",
        epilog="Example: streams dead-letters list",
        no_args_is_help=True,
    )
    group.command("list", epilog="Example: streams dead-letters list --reason rejected --since 2h --json")(
        list_dead_letters
    )
    group.command("show", epilog="Example: streams dead-letters show 3-1042")(show)
    redrive.add_to(group)
    app.add_typer(group, name="dead-letters")


def audit(
    wait: Annotated[float, typer.Option("--wait", help="Seconds to wait until nothing is in flight.")] = 0,
    confirmed: Annotated[
        bool,
        typer.Option("--confirmed", help="Exit 1 for an accepted event not seen at Klaviyo, too."),
    ] = False,
    config: ConfigFile = FILE,
    as_json: Json = False,
) -> None:
    """Account for every accepted event; exit 1 if one is missing, 3 if that could not be told."""
    from streams.ledger import audit as room

    deadline = time.monotonic() + wait
    file = reached(settings(config), wait)
    report, found = room.audit(file, max(0.0, deadline - time.monotonic())), None
    if confirmed:
        from streams.ledger.confirmed import receipts

        found = receipts(file, max(0.0, deadline - time.monotonic()))
        report = room.audit(file, max(0.0, deadline - time.monotonic())) if wait else report
    document = report.document() | ({"receipts": found.document()} if found else {})
    if as_json:
        put_json(document)
    else:
        from streams.ledger.summary import summary

        typer.echo(summary(document))
    if report.missing or (found and found.overdue):
        raise typer.Exit(1)


def list_dead_letters(
    reason: Reason = None,
    lane: Lane = None,
    account: AccountName = None,
    stage: Stage = None,
    since: Since = None,
    until: Until = None,
    event: Event = None,
    config: ConfigFile = FILE,
    as_json: Json = False,
) -> None:
    """List dead letters, oldest first in each partition; --json has one a line, bytes in base64."""
    from streams.ledger.dead_letters import listing

    filters = filters_of(reason, lane, account, stage, since, event, until)
    letters = listing(reached(settings(config)), filters)
    if as_json:
        for letter in letters:
            put_json(letter)
    else:
        rows = [_row(letter) for letter in letters]
        put_table(["id", "at", "stage", "account", "lane", "reason", "event_id", "status", "detail"], rows)
        say(f"{len(rows)} dead letters" if len(rows) != 1 else "1 dead letter")


def _row(letter: Mapping[str, Any]) -> dict[str, Any]:
    """What a person reads of a letter: when it was, and why somebody discarded it."""
    status = letter["status"] + (f": {letter['why']}" if letter["why"] else "")
    return {**letter, "at": utc(letter["at"]), "status": status}


def show(
    which: Annotated[str, typer.Argument(metavar="ID", help="As listed: PARTITION-OFFSET.")],
    config: ConfigFile = FILE,
    as_json: Json = False,
) -> None:
    """Show one dead letter; exit 1 if there is none of this id."""
    from streams.ledger import dead_letters
    from streams.ledger.letters import place_of, readable

    try:
        place_of(which)
        letter = dead_letters.show(reached(settings(config)), which)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if letter is None:
        say(f"no dead letter {which}")
        raise typer.Exit(1)
    if as_json:
        put_json(letter)
    else:
        typer.echo(readable(letter))
