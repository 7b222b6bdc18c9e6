"""``streams dry-run`` and ``rules``: what the rules would make of messages, before anything is sent."""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.commands.options import FILE, ConfigFile, Json, put_json, reached, say

if TYPE_CHECKING:
    from streams.commands.dry_run.examples import Example, Result
    from streams.config import Config, Problem
    from streams.route.dry_run import Line

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
MOST_RECORDS = 100_000
EXAMPLES = ".rules-test.yaml"
EXAMPLE_NOW = "2026-01-01T00:00:00Z"
"""When an example's messages arrive, unless it says: the same at every run."""

Lines = Annotated[
    str | None, typer.Argument(metavar="FILE|-", help="Segment messages, one JSON object a line; - is stdin.")
]
Now = Annotated[
    str | None, typer.Option("--now", help="When the messages arrive: ISO 8601 or an age such as 2h.")
]
Against = Annotated[
    Path | None, typer.Option("--against", help="Tell how the answers differ from this configuration's.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit 1 if anything is dead lettered or unmapped.")]
Source = Annotated[
    str | None, typer.Option("--source", help="Who sends them; without it they go to every space.")
]
Since = Annotated[
    str | None, typer.Option("--since", help="Instead of a file, what came since: 1h, or ISO 8601.")
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    from streams.commands.rules_classic import classic

    app.command("dry-run", epilog="Example: streams dry-run messages.ndjson --against old.yaml")(dry_run)
    group = typer.Typer(
        help="The rules of the file.", epilog="Example: streams rules test", no_args_is_help=True
    )
    group.command("test", epilog="Example: streams rules test pipeline.rules-test.yaml --json")(hold_examples)
    group.command("classic", epilog="Example: streams rules classic recorded.ndjson --list News")(classic)
    app.add_typer(group, name="rules")


def dry_run(
    lines: Lines = None,
    now: Now = None,
    against: Against = None,
    strict: Strict = False,
    source: Source = None,
    since: Since = None,
    config: ConfigFile = FILE,
) -> None:
    """Show what each message would become, from an empty state, without a broker or a network.

    Prints one JSON line for each input line. With --against, each line has the differences ("before" is the
    other configuration) and a last line the summary. Variables that the file names and that are not set are
    taken as set: nothing is sent.
    """
    values = rehearsed(config)
    at = moment(now)
    given = given_of(values, lines, since, source)
    answers = answers_of(values, given, at, source)
    if against is None:
        for answer in answers:
            typer.echo(answer.dump())
    else:
        other = rehearsed(against)
        _compare(answers_of(other, given, at, source if source in other.sources else None), answers)
    if strict:
        from streams.commands.dry_run.rehearsal import failed

        bad = sum(map(failed, answers))
        if bad:
            say(f"{bad} of {len(answers)} lines are dead lettered or have something unmapped")
            raise typer.Exit(1)


def hold_examples(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE", help="Default: every *.rules-test.yaml beside the configuration."),
    ] = None,
    config: ConfigFile = FILE,
    as_json: Json = False,
) -> None:
    """Hold the rules against the examples kept beside them; exit 1 if one differs.

    Each example has messages and what must become of them, compared as far as it is written.
    """
    from streams.commands.dry_run.examples import readable
    from streams.config import ConfigError

    found = files or sorted(config.parent.glob(f"*{EXAMPLES}"))
    if not found:
        raise typer.BadParameter(f"there is no *{EXAMPLES} beside {config}", param_hint="FILE")
    examples, problems = _examples(found)
    if problems:
        raise ConfigError(problems)
    results = list(_judged(rehearsed(config), examples))
    bad = sum(1 for result in results if result.differences)
    if as_json:
        rows = [result.document() for result in results]
        put_json({"tests": len(results), "failed": bad, "results": rows})
    else:
        typer.echo("\n".join(map(readable, results)))
        typer.echo(f"{len(results) - bad} of {len(results)} examples are as they should be")
    if bad:
        raise typer.Exit(1)


def _examples(files: list[Path]) -> "tuple[list[Example], list[Problem]]":
    from streams.commands.dry_run import examples
    from streams.config import Problem

    found: list[Example] = []
    problems: list[Problem] = []
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            problems.append(Problem(str(file), 0, 0, f"can't be read: {error}", "a file in UTF-8"))
            continue
        good, bad = examples.read(text, str(file))
        found += good
        problems += bad
    return found, problems


def _judged(config: "Config", examples: "list[Example]") -> "Iterator[Result]":
    import json
    from dataclasses import asdict

    from streams.commands.dry_run.examples import judge
    from streams.commands.dry_run.rehearsal import rehearse
    from streams.segment import plan_files

    plan = plan_files.load(config)
    for example in examples:
        if example.source is not None and example.source not in config.sources:
            said = f"{example.file}:{example.line}: no source {example.source}"
            raise typer.BadParameter(f"{said}; there are {', '.join(config.sources)}")
        lines = [json.dumps(message).encode() for message in example.messages]
        at = moment(example.now or EXAMPLE_NOW)
        answers = rehearse(config, lines, at, example.source, plan)
        yield judge(example, [asdict(answer) for answer in answers])


def rehearsed(file: Path) -> "Config":
    """The checked configuration where secrets need not be there. Raises ConfigError."""
    from streams.config import load

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        text = ""  # the loader says what is wrong with it
    unset = {name for name in _VARIABLE.findall(text) if not os.environ.get(name)}
    # An address, so that it stands for a secret and for a URL alike; each its own, since keys must differ.
    stand_ins = {name: f"https://{name.lower().replace('_', '-')}.invalid" for name in unset}
    return load(file, os.environ | stand_ins)


def moment(now: str | None, option: str = "--now") -> int:
    """Milliseconds since the epoch of ISO 8601, an age such as 2h, or this moment."""
    from datetime import UTC, datetime

    from streams.ledger.letters import since_ms

    clock = datetime.now(UTC)
    if now is None:
        return int(clock.timestamp() * 1000)
    try:
        return since_ms(now, clock)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def lines_of(name: str) -> Iterator[bytes]:
    """The lines of a file, or of stdin for ``-``."""
    if name == "-":
        yield from sys.stdin.buffer
        return
    try:
        with Path(name).open("rb") as file:
            yield from file
    except OSError as error:
        raise typer.BadParameter(f"{name}: {error.strerror}", param_hint="FILE") from None


def given_of(config: "Config", lines: str | None, since: str | None, source: str | None) -> list[Any]:
    """The lines of a file, or the envelopes of a span; whichever was asked for."""
    if source is not None and source not in config.sources:
        known = ", ".join(config.sources)
        raise typer.BadParameter(f"no source {source}; there are {known}", param_hint="--source")
    if (lines is None) == (since is None):
        raise typer.BadParameter("name a FILE, or - for stdin, or write --since 1h: one of them")
    return [*lines_of(lines or "-")] if since is None else span_of(config, since)


def span_of(config: "Config", since: str) -> list[Any]:
    """The envelopes of ``segment.events`` since then, in the order of their arrival."""
    from itertools import islice
    from operator import itemgetter

    from streams.ledger.span import span

    came = span(reached(config), "segment.events", moment(since, "--since"))
    found = [record for _, record in islice(came, MOST_RECORDS + 1)]
    if len(found) > MOST_RECORDS:
        say(f"more than {MOST_RECORDS} messages: taking the first that were read; choose a later --since")
        found.pop()
    return sorted(found, key=itemgetter("accepted_at"))


def answers_of(config: "Config", given: list[Any], at: int, source: str | None) -> "list[Line]":
    """What a dry run answers to lines or envelopes."""
    from streams.commands.dry_run.rehearsal import rehearse, rehearse_records
    from streams.segment import plan_files

    if given and isinstance(given[0], dict):
        return rehearse_records(config, given, at)
    return rehearse(config, given, at, source, plan_files.load(config))


def _compare(before: "Iterable[Line]", after: "Iterable[Line]") -> None:
    """One JSON line for each answer with what differs, then one with the summary."""
    from dataclasses import asdict

    from streams.commands.dry_run.difference import of_answers, summary

    compared = []
    for old, new in zip(map(asdict, before), map(asdict, after), strict=True):
        found = of_answers(old, new)
        compared.append((old, new, found))
        put_json(
            {
                "line": new["line"],
                "event_id": new["event_id"],
                "outcome": new["outcome"],
                "same": not found,
                "differences": [each.document() for each in found],
            }
        )
    put_json({"summary": summary(compared)})
