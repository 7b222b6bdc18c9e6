"""``streams replay``: what came in once more through the rules as they are now."""

import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.commands.options import FILE, ConfigFile, Json, put_json, reached, say, settings

if TYPE_CHECKING:
    from streams.config import Config
    from streams.ledger.choice import Choice
    from streams.ledger.progress import Progress
    from streams.ledger.replay import Plan, Span, Watch

EXAMPLES = """Example: streams replay --since 24h --outcome filtered:no_rule --dry-run

Example: streams replay --from 2026-01-01T00:00Z --to 2026-01-02T00:00Z --name "Order Completed" --yes

Example: streams replay --from-offset 3-1042 --to-offset 3-2000 --outcome any
"""
Offsets = list[str] | None
EVERY_S = 5.0
SHOWN = 20


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay", epilog=EXAMPLES)(replay)


def replay(
    since: Annotated[
        str | None,
        typer.Option("--since", "--from", help="What arrived from then on: ISO 8601, or an age such as 2h."),
    ] = None,
    until: Annotated[str | None, typer.Option("--until", "--to", help="What arrived before then.")] = None,
    from_offset: Annotated[
        Offsets,
        typer.Option(
            "--from-offset", metavar="PARTITION-OFFSET", help="From there on, of these partitions alone."
        ),
    ] = None,
    to_offset: Annotated[
        Offsets, typer.Option("--to-offset", metavar="PARTITION-OFFSET", help="Up to, not including, there.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that is kept, however old.")] = False,
    imported: Annotated[
        bool, typer.Option("--imported", help="Offsets are of what imports and redrives brought in.")
    ] = False,
    outcomes: Annotated[
        list[str] | None,
        typer.Option(
            "--outcome",
            metavar="OUTCOME[:REASON]",
            help="Which became this; any = whatever it is. As it is: filtered, expired, unaccounted.",
        ),
    ] = None,
    account: Annotated[
        str | None, typer.Option("--account", help="Judge by what became of it at this account.")
    ] = None,
    space: Annotated[str | None, typer.Option("--space", help="Only this space.")] = None,
    source: Annotated[str | None, typer.Option("--source", help="Only this source.")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="Only this: track, identify, …")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Only this event, page or screen.")] = None,
    event: Annotated[str | None, typer.Option("--event", help="Only this event id.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the replay that was interrupted.")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Count, tell what the rules would make of it, write nothing."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    config: ConfigFile = FILE,
    as_json: Json = False,
) -> None:
    """Send what came in through the line once more, behind all live events, by the rules as they are now.

    What Klaviyo has is not sent again, and nothing older changes what is newer there. Exit 1 if some of the
    chosen can't be replayed: they are told.
    """
    from streams.gateway.messages import TYPES
    from streams.ledger.replay import Plan

    values = settings(config)
    topics = _topics(imported, bool(from_offset))
    first, last = _places(from_offset, "--from-offset"), _places(to_offset, "--to-offset")
    if beyond := [number for number in (*first, *last) if number >= values.partitions]:
        there = f"there are 0 to {values.partitions - 1}"
        raise typer.BadParameter(
            f"no partition {beyond[0]}; {there}", param_hint="--from-offset, --to-offset"
        )
    span = _span(since, until, first, last, topics)
    given = bool(since or until or from_offset or to_offset or everything or event)
    if given == resume:
        raise typer.BadParameter("give a span (--since, --from-offset), or write --all or --resume")
    if to_offset and not from_offset:
        raise typer.BadParameter("name the same partition by --from-offset", param_hint="--to-offset")
    _known("account", account, values.accounts)
    _known("space", space, values.spaces)
    _known("source", source, values.sources)
    _known("type", type_, sorted(TYPES))
    choice = _choice(outcomes, space or _space(values, account), source, type_, name, event)
    plan = Plan(span, choice, account, dry_run=dry_run, resume=resume)
    reached(values)
    if not (dry_run or yes or resume):
        _ask(values, plan, as_json)
    _run(values, plan, as_json)


def _run(config: "Config", plan: "Plan", as_json: bool) -> None:
    try:
        progress = _work(config, plan)
    except KeyboardInterrupt:
        say("stopped: `streams replay --resume` goes on")
        raise
    counts = asdict(progress.counts)
    if as_json:
        put_json({"run": None if plan.dry_run else progress.run, "dry_run": plan.dry_run, **counts})
    else:
        _tell(progress, plan.dry_run)
    if progress.counts.stay:
        raise typer.Exit(1)


def _work(config: "Config", plan: "Plan") -> "Progress":
    from streams.ledger import replay as room

    with _progress("dry run" if plan.dry_run else "replay") as watch:
        return room.run(config, plan, _rehearsal(config), watch)


def _ask(config: "Config", plan: "Plan", as_json: bool) -> None:
    """Show what it would be, then ask; whoever can't be asked writes --yes."""
    from dataclasses import replace

    from streams.ledger.replay import unfinished

    if as_json or not sys.stdin.isatty():
        raise typer.BadParameter("look with --dry-run, then write --yes", param_hint="--yes")
    if (last := unfinished(config)) is not None:
        say(f"replay {last.run} stopped after {last.counts.sent}: this one takes its place (or: --resume)")
    _tell(_work(config, replace(plan, dry_run=True)), dry_run=True)
    typer.confirm("Send it?", abort=True, err=True)


def _rehearsal(config: "Config") -> Callable[[Mapping[str, Any]], Iterable[str]]:
    """What the rules make of a message, whoever it is of: the lanes, or why none."""
    import orjson

    from streams.route.rules import compile_rules
    from streams.segment.envelope import Envelope, Origin, Profile

    router = compile_rules(config)

    def rehearse(message: Mapping[str, Any]) -> Iterable[str]:
        envelope = Envelope(**message)  # type: ignore[typeddict-item]
        origin = Origin(
            line="events", space=envelope["space"], partition=0, offset=0,
            accepted_at=envelope["accepted_at"], replay=None,
        )  # fmt: skip
        who = Profile(
            id="", email=envelope["email"] or None, phone=envelope["phone"] or None,
            user_id=envelope["user_id"] or None, anonymous_ids=[],
        )  # fmt: skip
        routed = router.route(orjson.loads(envelope["body"]), envelope, who, origin, False)
        for topic, account, _ in routed.operations:
            yield f"{account}/{topic.removeprefix('klaviyo.')}"
        for account, reason, _ in routed.refusals:
            yield f"{account}: {reason}"
        if routed.filtered:
            yield f"filtered:{routed.filtered}"

    return rehearse


def _choice(
    outcomes: list[str] | None,
    space: str | None,
    source: str | None,
    type_: str | None,
    name: str | None,
    event: str | None,
) -> "Choice":
    from streams.ledger.choice import NOTHING_CAME, Choice, parse_outcome

    try:
        wanted = tuple(map(parse_outcome, outcomes)) if outcomes else NOTHING_CAME
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--outcome") from None
    return Choice(wanted, space, source, type_, name, event)


def _known(hint: str, value: str | None, there: Collection[str]) -> None:
    """A name that is not there chooses nothing, and that would look well."""
    if value is not None and value not in there:
        raise typer.BadParameter(f"no {hint} {value}; there are {', '.join(there)}", param_hint=f"--{hint}")


def _space(config: "Config", account: str | None) -> str | None:
    return next((name for name in config.spaces if account in config.accounts_of(name)), None)


def _topics(imported: bool, by_offset: bool) -> tuple[str, ...]:
    from streams.ledger.replay import TOPICS

    return TOPICS[1:] if imported else TOPICS[:1] if by_offset else TOPICS


def _places(texts: Offsets, hint: str) -> dict[int, int]:
    from streams.ledger.letters import place_of

    try:
        return dict(map(place_of, texts or ()))
    except ValueError:
        raise typer.BadParameter("write PARTITION-OFFSET, as `streams audit` does", param_hint=hint) from None


def _span(
    since: str | None, until: str | None, first: dict[int, int], last: dict[int, int], topics: tuple[str, ...]
) -> "Span":
    from datetime import UTC, datetime

    from streams.ledger.letters import since_ms
    from streams.ledger.replay import Span

    now = datetime.now(UTC)
    try:
        low, high = (None if text is None else since_ms(text, now) for text in (since, until))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since, --until") from None
    return Span(low, high, first, last, topics)


def _tell(progress: "Progress", dry_run: bool) -> None:
    counts = progress.counts
    by = "" if dry_run else f" by {progress.run}"
    typer.echo(
        f"{counts.read} records read, {counts.chosen} chosen: "
        f"{counts.sent} {'would be ' if dry_run else ''}replayed{by}, {counts.stay} stay"
    )
    for title, numbers in (("became", counts.found), ("event", counts.events), ("now", counts.would)):
        for name, count in sorted(numbers.items(), key=lambda each: -each[1])[:SHOWN]:
            typer.echo(f"  {title:6} {name}: {count}")
    for each in counts.left[:SHOWN]:
        typer.echo(f"  {each['id']} stays: {each['why']}")


@contextmanager
def _progress(verb: str) -> "Iterator[Watch]":
    """A bar for a person, a line now and then for a log; on stderr."""
    if not sys.stderr.isatty():
        last = time.monotonic()

        def plainly(progress: "Progress", read: int, total: int) -> None:
            nonlocal last
            if time.monotonic() - last >= EVERY_S:
                last = time.monotonic()
                say(f"{verb}: {read} of {total} read, {progress.counts.chosen} chosen")

        yield plainly
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(verb, total=None)

        def watch(progress: "Progress", read: int, total: int) -> None:
            bar.update(
                task, total=total, completed=read, description=f"{verb}: {progress.counts.chosen:,} chosen"
            )

        yield watch
