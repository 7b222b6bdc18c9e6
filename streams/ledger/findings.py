"""What a check-up found: one line each, with what to do. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is; ``away``: it could not be told, since something does not answer."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    AWAY = "away"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's answer. ``check`` names it for good; ``mend`` says what to do where it is not ok."""

    check: str
    level: Level
    says: str
    mend: str = ""


def ok(check: str, says: str) -> Finding:
    """All is well."""
    return Finding(check, Level.OK, says)


def warn(check: str, says: str, mend: str) -> Finding:
    """Someone should look, the line runs."""
    return Finding(check, Level.WARN, says, mend)


def fail(check: str, says: str, mend: str) -> Finding:
    """Something does not work, or will not for long."""
    return Finding(check, Level.FAIL, says, mend)


def away(check: str, says: str, mend: str) -> Finding:
    """It could not be told."""
    return Finding(check, Level.AWAY, says, mend)


def exit_code(findings: Iterable[Finding]) -> int:
    """0 if nothing fails, 1 if something does, else 3 if something could not be told."""
    levels = {each.level for each in findings}
    return 1 if Level.FAIL in levels else 3 if Level.AWAY in levels else 0
