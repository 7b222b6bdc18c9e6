"""Klaviyo's filter language: `equals(email,"a@b.c"),greater-than(datetime,2026-01-01T00:00:00Z)`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from streams.simulators.klaviyo import rules
from streams.simulators.klaviyo.errors import Problem, Refused

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<mark>[(),\[\]])|(?P<word>[^\s(),\[\]"']+))"""
)
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "greater-than": lambda left, right: left > right,
    "greater-or-equal": lambda left, right: left >= right,
    "less-than": lambda left, right: left < right,
    "less-or-equal": lambda left, right: left <= right,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison; `values` has several for `any`, none for `has`."""

    operator: str
    field: str
    values: tuple[str, ...]

    def holds(self, value: Any) -> bool:
        """Compare a field's value; times compare as epoch seconds."""
        if self.operator in ("equals", "any"):
            return value is not None and str(value) in self.values
        if self.operator == "has":
            return value is not None
        return value is not None and _COMPARE[self.operator](float(value), as_seconds(self.values[0]))


def as_seconds(text: str) -> float:
    """Read a filter's time: epoch seconds, or a date-time."""
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        return float(text)
    moment = rules.parse_time(text.replace(" ", "+"))
    if moment is None:
        raise Refused(_wrong(f"'{text}' is not a valid date-time."))
    return moment.timestamp()


def _wrong(detail: str) -> Problem:
    return Problem(detail, None, parameter="filter")


def parse(text: str | None, allowed: Mapping[str, tuple[str, ...]]) -> list[Condition]:
    """Read a filter; `allowed` names each field's operators. All conditions must hold."""
    if not text:
        return []
    tokens = _tokens(text)
    conditions: list[Condition] = []
    while tokens:
        operator = tokens.pop(0)
        _expect(tokens, "(", text)
        field = tokens.pop(0) if tokens else ""
        values: list[str] = []
        while tokens and tokens[0] != ")":
            token = tokens.pop(0)
            if token not in (",", "[", "]"):
                values.append(_value(token))
        _expect(tokens, ")", text)
        if operator not in allowed.get(field, ()):
            raise Refused(_wrong(f"'{operator}' is not a valid filter operator for the field '{field}'."))
        if (operator == "has") != (not values) or (operator != "any" and len(values) > 1):
            raise Refused(_wrong(f"Invalid filter provided: {text}"))
        condition = Condition(operator, field, tuple(values))
        if operator in _COMPARE:
            as_seconds(values[0])
        conditions.append(condition)
        if tokens:
            _expect(tokens, ",", text)
    return conditions


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    at = 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None:
            raise Refused(_wrong(f"Invalid filter provided: {text}"))
        tokens.append(match.group().strip())
        at = match.end()
    return tokens


def _expect(tokens: list[str], mark: str, text: str) -> None:
    if not tokens or tokens.pop(0) != mark:
        raise Refused(_wrong(f"Invalid filter provided: {text}"))


def _value(token: str) -> str:
    return re.sub(r"\\(.)", r"\1", token[1:-1]) if token[0] in "\"'" else token
