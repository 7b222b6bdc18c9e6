"""Examples kept beside the rules: messages, and what must become of them. Pure.

A file has ``tests``; each has ``messages`` and what to ``expect`` of them, one entry a message, in order.
What is expected is compared as far as it is written: of an object the keys that are there, of a list every
element.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from streams.commands.dry_run.difference import MISSING, Difference, differences
from streams.config.problems import Problem, nearest
from streams.config.source_text import SourceText, parse

ANSWERED = ("outcome", "reason", "matched_rules", "profile", "requests", "unmapped", "not_sent", "event_id")
_KEYS = ("name", "now", "source", "messages", "expect")


@dataclass(frozen=True, slots=True)
class Example:
    """One test of a file. ``now`` is ISO 8601; None = a moment that never changes."""

    file: str
    line: int
    name: str
    messages: tuple[dict[str, Any], ...]
    expect: tuple[dict[str, Any], ...]
    now: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an example: nothing in ``differences`` is as it should be."""

    example: Example
    differences: tuple[Difference, ...] = field(default=())

    def document(self) -> dict[str, Any]:
        """The JSON form; before is what is expected, after what was found."""
        rows = []
        for each in self.differences:
            sides = {"expected": each.before, "found": each.after}
            given = {name: value for name, value in sides.items() if value is not MISSING}
            rows.append({"path": each.path} | given)
        example = self.example
        return {
            "file": example.file,
            "line": example.line,
            "name": example.name,
            "ok": not rows,
            "differences": rows,
        }


def read(text: str, file: str) -> tuple[list[Example], list[Problem]]:
    """The examples of a file, and everything wrong with it."""
    source = parse(text, file, {})
    problems = list(source.problems)
    values = source.values
    tests = values.get("tests") if isinstance(values, dict) else None
    if not isinstance(tests, list):
        if not problems:
            problems.append(Problem(file, 1, 1, "the file has no list of tests", "tests: …"))
        return [], problems
    examples = []
    for number, test in enumerate(tests):
        wrong = list(_problems(number, test, source))
        problems += wrong
        if not wrong:
            examples.append(_example(number, test, source))
    return examples, problems


def judge(example: Example, answers: list[dict[str, Any]]) -> Result:
    """Hold the answers of a dry run against what is expected of each message."""
    found: list[Difference] = []
    for number, (expected, answer) in enumerate(zip(example.expect, answers, strict=True)):
        wanted, given = subset(expected, answer)
        found += differences(wanted, given, f"message {number + 1}")
    return Result(example, tuple(found))


def subset(expected: Any, found: Any) -> tuple[Any, Any]:
    """What is expected and what of it was found: keys that nobody asked for are left out."""
    if isinstance(expected, dict) and isinstance(found, dict):
        pairs = {name: subset(value, found.get(name, MISSING)) for name, value in expected.items()}
        here = {name: pair[1] for name, pair in pairs.items() if pair[1] is not MISSING}
        return {name: pair[0] for name, pair in pairs.items()}, here
    if isinstance(expected, list) and isinstance(found, list):
        both = [subset(*pair) for pair in zip(expected, found, strict=False)]
        rest = len(both)
        return [a for a, _ in both] + expected[rest:], [b for _, b in both] + found[rest:]
    return expected, found


def readable(result: Result) -> str:
    """A result for a person: one line if it is well, else every difference below it."""
    example = result.example
    if not result.differences:
        return f"ok    {example.name}"
    lines = [f"FAIL  {example.name}  ({example.file}:{example.line})"]
    for each in result.differences:
        lines += [
            f"        {each.path}",
            f"          expected: {_shown(each.before)}",
            f"          found:    {_shown(each.after)}",
        ]
    return "\n".join(lines)


def _shown(value: Any) -> str:
    if value is MISSING:
        return "nothing"
    if isinstance(value, dict) and "path" in value and "method" in value:
        return f"{value['account']}: {value['method']} {value['path']} {value['body']!r}"[:300]
    return repr(value)[:300]


def _example(number: int, test: Mapping[str, Any], source: SourceText) -> Example:
    return Example(
        file=source.file,
        line=source.place(("tests", number))[0],
        name=str(test.get("name") or f"test {number + 1}"),
        messages=tuple(test["messages"]),
        expect=tuple(test["expect"]),
        now=test.get("now"),
        source=test.get("source"),
    )


def _problems(number: int, test: Any, source: SourceText) -> Iterator[Problem]:
    place = ("tests", number)
    if not isinstance(test, dict):
        yield source.problem(place, "a test is an object", "{name: …, messages: […], expect: […]}")
        return
    for key in test:
        if key not in _KEYS:
            said = f"a test has no {key!r}"
            yield source.problem((*place, key), said, nearest(str(key), _KEYS), at_key=True)
    for key in ("messages", "expect"):
        value = test.get(key)
        if not isinstance(value, list) or not value or not all(isinstance(each, dict) for each in value):
            yield source.problem((*place, key), f"{key} must be a list of objects", f"{key}: [{{…}}]")
            return
    if len(test["messages"]) != len(test["expect"]):
        said = f"{len(test['messages'])} messages, and {len(test['expect'])} entries of what to expect"
        yield source.problem((*place, "expect"), said, "one entry a message; {} takes anything")
    for index, expected in enumerate(test["expect"]):
        for key in expected:
            if key not in ANSWERED:
                where = (*place, "expect", index, key)
                said = f"an answer has no {key!r}"
                yield source.problem(where, said, nearest(str(key), ANSWERED), at_key=True)
    for key in ("now", "source"):
        if not isinstance(test.get(key), str | None):
            yield source.problem((*place, key), f"{key} must be a text", "")
