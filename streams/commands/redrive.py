"""``streams dead-letters redrive|discard``: what to do with what could not go on."""

import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from streams.commands.options import FILE, ConfigFile, Json, put_json, reached, say, settings

if TYPE_CHECKING:
    from streams.ledger.letters import Filters
    from streams.ledger.redrive import Counts, Plan, Watch

Reason = Annotated[str | None, typer.Option("--reason", help="Only this reason.")]
Lane = Annotated[str | None, typer.Option("--lane", help="Only this lane.")]
AccountName = Annotated[str | None, typer.Option("--account", help="Only this account.")]
Stage = Annotated[str | None, typer.Option("--stage", help="Only those this stage refused.")]
Since = Annotated[
    str | None, typer.Option("--since", help="Only later ones: ISO 8601, or an age such as 2h.")
]
Until = Annotated[str | None, typer.Option("--until", help="Only earlier ones, written like --since.")]
Event = Annotated[str | None, typer.Option("--event", help="Only this event id.")]
Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help="As listed: PARTITION-OFFSET.")]
All = Annotated[bool, typer.Option("--all", help="All of them, where no filter and no ID is given.")]
Again = Annotated[bool, typer.Option("--again", help="Those that were redriven or discarded before, too.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, write nothing.")]
EVERY_S = 5.0
SHOWN = 20


def add_to(group: typer.Typer) -> None:
    """Add the commands."""
    group.command("redrive", epilog="Example: streams dead-letters redrive --reason rejected --since 2h")(
        redrive
    )
    group.command("discard", epilog='Example: streams dead-letters discard 3-1042 --reason-text "test data"')(
        discard
    )


def redrive(
    ids: Ids = None,
    reason: Reason = None,
    lane: Lane = None,
    account: AccountName = None,
    stage: Stage = None,
    since: Since = None,
    until: Until = None,
    event: Event = None,
    everything: All = False,
    again: Again = False,
    dry_run: DryRun = False,
    config: ConfigFile = FILE,
    as_json: Json = False,
) -> None:
    """Send dead letters through the same code once more, behind all live events; each letter once.

    Mend what refused them first. What Klaviyo has already is not sent again. Exit 1 if some can't go back
    as things are: they stay as they were, and are told.
    """
    from streams.ledger.redrive import Plan

    filters = filters_of(reason, lane, account, stage, since, event, until)
    plan = Plan("redrive", filters, _letters(ids, filters, everything), again=again, dry_run=dry_run)
    _run(plan, config, as_json)


def discard(
    reason_text: Annotated[
        str, typer.Option("--reason-text", help="Why; shown wherever the letter is listed.")
    ] = "",
    ids: Ids = None,
    reason: Reason = None,
    lane: Lane = None,
    account: AccountName = None,
    stage: Stage = None,
    since: Since = None,
    until: Until = None,
    event: Event = None,
    everything: All = False,
    again: Again = False,
    dry_run: DryRun = False,
    config: ConfigFile = FILE,
    as_json: Json = False,
) -> None:
    """Say that dead letters need nothing more: they stay, in the audit too, and no redrive takes them."""
    from streams.ledger.redrive import Plan

    if not reason_text.strip():
        raise typer.BadParameter(
            "say why: it is shown wherever the letter is listed", param_hint="--reason-text"
        )
    filters = filters_of(reason, lane, account, stage, since, event, until)
    letters = _letters(ids, filters, everything)
    _run(Plan("discard", filters, letters, again=again, dry_run=dry_run, why=reason_text), config, as_json)


def filters_of(
    reason: str | None,
    lane: str | None,
    account: str | None,
    stage: str | None,
    since: str | None,
    event: str | None,
    until: str | None,
) -> "Filters":
    """The options' filters. A reason, lane or stage that can't be is an error: none found looks well."""
    from datetime import UTC, datetime

    from streams.engine.lanes import ALL
    from streams.ledger.letters import STAGES, Filters, since_ms
    from streams.ledger.reasons import Reason as Known

    _one_of("--reason", reason and reason.partition(":")[0], [each.value for each in Known])
    _one_of("--lane", lane, ALL)
    _one_of("--stage", stage, STAGES)
    now = datetime.now(UTC)
    try:
        after, before = (None if text is None else since_ms(text, now) for text in (since, until))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since, --until") from None
    if after is not None and before is not None and after >= before:
        raise typer.BadParameter("nothing lies between --since and --until")
    return Filters(reason, lane, account, stage, after, event, before)


def _one_of(option: str, given: str | None, known: Collection[str]) -> None:
    if given is not None and given not in known:
        raise typer.BadParameter(f"no {given}; there are {', '.join(known)}", param_hint=option)


def _letters(
    ids: list[str] | None, filters: "Filters", everything: bool
) -> frozenset[tuple[int, int]] | None:
    from streams.ledger.letters import Filters, place_of

    narrowed = bool(ids) or filters != Filters()
    if everything == narrowed:
        raise typer.BadParameter("name letters, or give filters, or write --all")
    try:
        return frozenset(place_of(each) for each in ids) if ids else None
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _run(plan: "Plan", config: Any, as_json: bool) -> None:
    from streams.gateway.readmit import readmit
    from streams.ledger import redrive as room

    values = reached(settings(config))
    try:
        with _progress(plan.verb) as watch:
            counts = room.run(values, plan, readmit, watch)
    except KeyboardInterrupt:
        say("stopped: what is done is marked, the same command goes on")
        raise
    if as_json:
        put_json({"verb": plan.verb, "dry_run": plan.dry_run, **asdict(counts)})
    else:
        _tell(counts, plan.verb, plan.dry_run)
    if counts.stay or counts.missing:
        raise typer.Exit(1)


def _tell(counts: "Counts", verb: Literal["redrive", "discard"], dry_run: bool) -> None:
    did = ("would be " if dry_run else "") + {"redrive": "redriven", "discard": "discarded"}[verb]
    by = "" if dry_run else f" ({counts.run})"
    told = f"{counts.done} {did}{by}, {counts.before} were before, {counts.stay} stay"
    typer.echo(f"{counts.chosen} dead letters chosen: {told}")
    for topic, count in sorted(counts.topics.items()):
        typer.echo(f"  {count} to {topic}")
    for each in counts.left[:SHOWN]:
        typer.echo(f"  {each['id']} stays: {each['why']}")
    if counts.stay > SHOWN:
        typer.echo("  … and more: --dry-run --json")
    for name in counts.missing:
        say(f"no dead letter {name}")


@contextmanager
def _progress(verb: str) -> "Iterator[Watch]":
    """A line now and then, on stderr; for a person, one that is overwritten."""
    human, last, told = sys.stderr.isatty(), time.monotonic(), False

    def watch(counts: "Counts", done: int, total: int) -> None:
        nonlocal last, told
        if time.monotonic() - last < (0.2 if human else EVERY_S):
            return
        last, told = time.monotonic(), True
        text = f"{verb}: {counts.done} done, {counts.stay} stay; {done} of {total} read"
        typer.echo(f"\r{text}" if human else text, err=True, nl=not human)

    yield watch
    if human and told:
        typer.echo(err=True)
