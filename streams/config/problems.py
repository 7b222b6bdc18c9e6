"""What is wrong with a configuration: all of it at once, each with its place and what to write instead."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, slots=True)
class Problem:
    """One error of the file. ``line`` and ``column`` count from 1; 0 = not in the file (environment)."""

    file: str
    line: int
    column: int
    message: str
    write: str
    """What to write instead, or how to find it out."""

    def __str__(self) -> str:
        """``file:line:column: message`` and the way out on a line of its own."""
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.message}" + (f"\n  write: {self.write}" if self.write else "")


class ConfigError(Exception):
    """The configuration can't be used; ``problems`` has every reason."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known name most like the word, if one is alike."""
    names = {name.lower(): name for name in known}
    found = get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    return names[found[0]] if found else None


def nearest(word: str, known: Iterable[str]) -> str:
    """The known name most like the word; else all of them, so that there is always something to write."""
    names = list(known)
    return closest(word, names) or ("one of: " + ", ".join(names) if names else "")
