"""JSONPath (RFC 9535) as functions: plain look-ups for paths to one value, the library for the rest."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from jsonpath import JSONPath, JSONPathEnvironment
from jsonpath.exceptions import JSONPathError
from jsonpath.selectors import IndexSelector, NameSelector

Getter = Callable[[Any], Any]
Places = Callable[[Any], list[tuple[str | int, ...]]]
"""Where in a message a path finds something: the keys and indexes that lead there."""
_ENVIRONMENT = JSONPathEnvironment(strict=True)


class _Missing:
    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = _Missing()
"""What a path gives that finds nothing; null is a value."""


class PathError(Exception):
    """A text that isn't a JSONPath; ``column`` counts from 1."""

    def __init__(self, message: str, text: str, column: int) -> None:
        self.message, self.text, self.column = message, text, column
        super().__init__(f"{message}\n  {text}\n  {' ' * (column - 1)}^")


@lru_cache(maxsize=4096)
def compile_path(text: str) -> Getter:
    """A function that finds the path's value in a message; never raises on any JSON.

    A path that can match several places gives the list of what it found.

    Raises:
        PathError: the text isn't a JSONPath.
    """
    if not text.startswith("$"):
        raise PathError("a path starts with $", text, 1)
    try:
        path = _ENVIRONMENT.compile(text)
    except (JSONPathError, RecursionError, ValueError) as error:
        index = getattr(getattr(error, "token", None), "index", 0)
        column = len(text) + 1 if index < 0 else index + 1
        message = str(error.args[0] if error.args else "not a JSONPath")
        raise PathError(message, text, column) from None
    if not isinstance(path, JSONPath) or not path.singular_query():
        return _several(path)
    keys: list[str | int] = []
    for segment in path.segments:
        selector = segment.selectors[0]
        if isinstance(selector, NameSelector):
            keys.append(selector.name)
        elif isinstance(selector, IndexSelector):
            keys.append(selector.index)
    return _single(tuple(keys))


def _single(keys: tuple[str | int, ...]) -> Getter:
    def get(message: Any) -> Any:
        value = message
        for key in keys:
            if isinstance(value, dict):
                value = value.get(key, MISSING)
            elif isinstance(value, list) and isinstance(key, int) and -len(value) <= key < len(value):
                value = value[key]
            else:
                return MISSING
        return value

    return get


@lru_cache(maxsize=1024)
def compile_places(text: str) -> Places:
    """A function that finds the places of a path that ``compile_path`` takes; never raises on any JSON."""
    path = _ENVIRONMENT.compile(text)

    def find(message: Any) -> list[tuple[str | int, ...]]:
        try:
            return [match.parts for match in path.finditer(message)]
        except (JSONPathError, RecursionError, ArithmeticError, ValueError, TypeError):
            return []

    return find


def _several(path: Any) -> Getter:
    def get(message: Any) -> Any:
        try:
            return path.findall(message) or MISSING
        except (JSONPathError, RecursionError, ArithmeticError, ValueError, TypeError):
            return MISSING

    return get


def first_of(paths: tuple[str, ...]) -> Getter:
    """The first path that finds something other than null; null if that is all there is."""
    getters = tuple(compile_path(path) for path in paths)
    if len(getters) == 1:
        return getters[0]

    def get(message: Any) -> Any:
        found: Any = MISSING
        for getter in getters:
            value = getter(message)
            if value is not MISSING and value is not None:
                return value
            found = None if value is None else found
        return found

    return get
