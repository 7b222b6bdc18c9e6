"""``streams rules classic``: what Segment's Classic destination did with events, and what the rules do."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.commands.options import FILE, ConfigFile, Json, put_json
from streams.commands.rules import Lines, Now, Since, Source, answers_of, given_of, moment, rehearsed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from streams.commands.dry_run.classic import Change, Folded, Told
    from streams.segment.classic import Settings

_WIDTH = 70


def classic(
    lines: Lines = None,
    list_id: Annotated[str | None, typer.Option("--list", help="The destination's default list.")] = None,
    confirm_optin: Annotated[
        bool, typer.Option("--confirm-optin/--no-confirm-optin", help="Its confirmation mail.")
    ] = True,
    send_anonymous: Annotated[
        bool, typer.Option("--send-anonymous", help="It fell back on the anonymousId.")
    ] = False,
    enforce_email: Annotated[
        bool, typer.Option("--enforce-email", help="It sent only emails, no ids.")
    ] = False,
    segment_spec: Annotated[
        bool, typer.Option("--segment-spec", help="An order was Order Completed, not Placed Order.")
    ] = False,
    now: Now = None,
    source: Source = None,
    since: Since = None,
    config: ConfigFile = FILE,
    as_json: Json = False,
) -> None:
    """Tell, for each event of Segment, what the Classic Klaviyo destination did and what the rules do now.

    Options from --list to --segment-spec are the destination's settings as they were. Prints what changed by
    event name: renamed metrics, dropped and added fields, ids, subscriptions. With --json a line for each
    message and a last one with the summary. Nothing is sent.
    """
    from streams.commands.dry_run.classic import fold
    from streams.segment.classic import Settings

    values = rehearsed(config)
    given = given_of(values, lines, since, source)
    settings = Settings(list_id, confirm_optin, send_anonymous, enforce_email, segment_spec)
    answers = answers_of(values, given, moment(now), source)
    told = list(_told(given, answers, settings))
    folded = fold(told)
    if as_json:
        for each in told:
            put_json(each.document())
        put_json({"summary": [folded[name].document(name) for name in folded]})
    else:
        typer.echo("\n\n".join(_readable(name, folded[name]) for name in folded) or "no messages")


def _told(given: list[Any], answers: "list[Any]", settings: "Settings") -> "Iterator[Told]":
    from dataclasses import asdict

    import orjson

    from streams.commands.dry_run.classic import Told, compare, name_of
    from streams.segment.classic import calls

    for answer in answers:
        found = given[answer.line - 1]
        try:
            message = orjson.loads(found["body"] if isinstance(found, dict) else found)
        except orjson.JSONDecodeError:
            message = None
        now = asdict(answer)
        if isinstance(message, dict):
            then = calls(message, settings)
            yield Told(answer.line, answer.event_id, name_of(message), then, now, compare(then, now))
        else:
            yield Told(answer.line, answer.event_id, "unreadable", "no message", now, [])


def _readable(name: str, folded: "Folded") -> str:
    messages = "1 message" if folded.count == 1 else f"{folded.count} messages"
    lines = [f"{name}: {messages}", f"  then  {_counted(folded.then)}", f"  now   {_counted(folded.now)}"]
    lines += [_change(count, change, folded.count) for count, change in folded.changes.values()]
    return "\n".join(lines)


def _counted(calls: "Mapping[str, int]") -> str:
    return ", ".join(f"{name} ({count})" for name, count in calls.items())


def _change(count: int, change: "Change", of: int) -> str:
    often = "" if count == of else f" ({count} of {of})"
    sides = [_shown(side) for side in (change.then, change.now)]
    said = "" if change.then is None and change.now is None else f": {sides[0]} -> {sides[1]}"
    return f"  - {change.what} {change.field}{often}{said}"


def _shown(value: Any) -> str:
    text = "nothing" if value is None else value if isinstance(value, str) else repr(value)
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
