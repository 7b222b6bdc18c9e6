"""FQL conditions as functions, fast and total: on any message true or false, never an exception.

Where Segment's reference leaves it open: anything but ``true`` counts as false in ``and``, ``or`` and
``!``; an order between anything but two numbers is false; an object's type is "object"; a number in a
path counts from 0 into a list.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from streams.config.fql_syntax import Call, Field, FqlError, Literal, Logic, Node, parse

Evaluate = Callable[[Any], Any]
_UNKNOWN = object()
_SPACES = re.compile(r"\s+")


class Condition:
    """A compiled text: call it with a message, or ask what it might say of a type and a name."""

    __slots__ = ("_evaluate", "_tree", "text")

    def __init__(self, text: str) -> None:
        """Compile.

        Raises:
            FqlError: the text isn't FQL.
        """
        self.text = text
        self._tree = parse(text)
        self._evaluate = _compile(self._tree, text)

    def __call__(self, message: Mapping[str, Any]) -> bool:
        """Whether the message is like this."""
        try:
            return self._evaluate(message) is True
        except (RecursionError, ArithmeticError, ValueError):  # values nested too deep or too long to compare
            return False

    def might(self, type_: str, name: str | None) -> bool:
        """False only if no message of this type and event name can be like this."""
        known: dict[tuple[str, ...], Any] = {("type",): type_}
        if name and type_ in ("track", "page", "screen"):
            known["event" if type_ == "track" else "name",] = name
        try:
            return _guess(self._tree, known) in (True, _UNKNOWN)
        except (RecursionError, ArithmeticError, ValueError):
            return True


def _compile(node: Node, text: str) -> Evaluate:
    if isinstance(node, Literal):
        value = node.value
        return lambda _: value
    if isinstance(node, Field):
        return _getter(node.path)
    if isinstance(node, Logic):
        return _logic(node.name, tuple(_compile(part, text) for part in node.parts))
    if node.name == "match" and isinstance(node.arguments[1], Literal):
        pattern = glob(node.arguments[1].value)
        if pattern is None:
            raise FqlError("match() needs a glob pattern", text, 1, text.find("match") + 1, "'Button *'")
    if (
        node.name == "="
        and isinstance(node.arguments[1], Literal)
        and isinstance(node.arguments[1].value, str)
    ):
        get, wanted = _compile(node.arguments[0], text), node.arguments[1].value
        return lambda message: get(message) == wanted
    inner = tuple(_compile(argument, text) for argument in node.arguments)
    if node.name == "[]":
        return lambda message: [get(message) for get in inner]
    function = FUNCTIONS[node.name]
    if len(inner) == 1:
        only = inner[0]
        return lambda message: function(only(message))
    left, right = inner
    return lambda message: function(left(message), right(message))


def _logic(name: str, parts: tuple[Evaluate, ...]) -> Evaluate:
    if name == "not":
        part = parts[0]
        return lambda message: part(message) is not True
    if len(parts) == 2:
        left, right = parts
        if name == "and":
            return lambda message: left(message) is True and right(message) is True
        return lambda message: left(message) is True or right(message) is True
    decide = all if name == "and" else any
    return lambda message: decide(part(message) is True for part in parts)


def _getter(path: tuple[str, ...]) -> Evaluate:
    if len(path) == 1:
        only = path[0]
        return lambda message: message.get(only) if isinstance(message, dict) else None

    def get(message: Any) -> Any:
        value = message
        for part in path:
            if isinstance(value, dict):
                value = value.get(part)
            elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
                value = value[int(part)]
            else:
                return None
        return value

    return get


def _guess(node: Node, known: Mapping[tuple[str, ...], Any]) -> Any:
    """The value as far as ``known`` decides it, else ``_UNKNOWN``."""
    if isinstance(node, Literal):
        return node.value
    if isinstance(node, Field):
        return known.get(node.path, _UNKNOWN)
    if isinstance(node, Call):
        values = [_guess(argument, known) for argument in node.arguments]
        if any(value is _UNKNOWN for value in values):
            return _UNKNOWN
        return values if node.name == "[]" else FUNCTIONS[node.name](*values)
    parts = [_guess(part, known) for part in node.parts]
    if node.name == "not":
        return _UNKNOWN if parts[0] is _UNKNOWN else parts[0] is not True
    decides = node.name == "or"
    if any((part is True) == decides for part in parts if part is not _UNKNOWN):
        return decides
    return _UNKNOWN if any(part is _UNKNOWN for part in parts) else not decides


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(left[key], right[key]) for key in left)
    return bool(left == right)


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    return len(value) if isinstance(value, list) else 0


def _typeof(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    kinds = {str: "string", int: "number", float: "number", list: "list", dict: "object"}
    return next((name for kind, name in kinds.items() if isinstance(value, kind)), "object")


def _string(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _number(value: Any) -> Any:
    if _is_number(value):
        return value
    try:
        return float(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _matches(value: Any, pattern: Any) -> bool:
    compiled = glob(pattern) if isinstance(pattern, str) and isinstance(value, str) else None
    return compiled is not None and compiled.match(value) is not None


def _text(change: Callable[[str], str]) -> Callable[[Any], str | None]:
    return lambda value: change(value) if isinstance(value, str) else None


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "=": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "<": lambda left, right: _is_number(left) and _is_number(right) and left < right,
    "<=": lambda left, right: _is_number(left) and _is_number(right) and left <= right,
    ">": lambda left, right: _is_number(left) and _is_number(right) and left > right,
    ">=": lambda left, right: _is_number(left) and _is_number(right) and left >= right,
    "in": lambda value, several: isinstance(several, list) and any(_equal(value, one) for one in several),
    "contains": lambda value, part: isinstance(value, str) and isinstance(part, str) and part in value,
    "match": _matches,
    "length": _length,
    "typeof": _typeof,
    "lowercase": _text(str.lower),
    "uppercase": _text(str.upper),
    "snakecase": _text(lambda value: _SPACES.sub("_", value)),
    "kebabcase": _text(lambda value: _SPACES.sub("-", value)),
    "titlecase": _text(str.title),
    "bool": lambda value: value if isinstance(value, bool) else value not in (None, "", 0, "false", []),
    "string": _string,
    "number": _number,
}
"""Functions and operators on values; each takes any value of JSON."""

_PART = re.compile(
    r"\\(?P<literal>.)|(?P<any>\*)|(?P<one>\?)|\[(?P<set>(?:\\.|[^\]\\])+)\]|(?P<plain>[^\[\\])", re.DOTALL
)


@lru_cache(maxsize=1024)
def glob(pattern: str) -> re.Pattern[str] | None:
    """A glob (``*``, ``?``, ``[a-z]``, backslash) as a pattern of the whole text; None if broken."""
    if not isinstance(pattern, str):
        return None
    chunks, position = [""], 0
    while position < len(pattern):
        part = _PART.match(pattern, position)
        if part is None:
            return None
        position = part.end()
        if part["any"]:
            chunks.append("")
        elif part["set"]:
            chunks[-1] += f"[{_set(part['set'])}]"
        else:
            chunks[-1] += "." if part["one"] else re.escape(part["literal"] or part["plain"])
    first, *rest = chunks
    # Each middle chunk is looked for once, never again (atomic): no pattern makes the search explode.
    middle = "".join(f"(?>.*?{chunk})" for chunk in rest[:-1] if chunk)
    last = f".*{rest[-1]}" if rest else ""
    try:
        return re.compile(f"(?s:{first}{middle}{last})\\Z")
    except (re.error, OverflowError, RecursionError):
        return None


def _set(inside: str) -> str:
    """A list of characters and ranges, with what regular expressions mean by them taken out."""
    return re.sub(r"\\(.)|([\^\[&~|\\])", lambda m: "\\" + (m[1] or m[2]), inside, flags=re.DOTALL)
