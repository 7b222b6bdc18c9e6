"""Segment's Filter Query Language (FQL): its grammar, and texts as trees.

Source: Segment's reference "Destination Filter Query Language". ``not`` is read like ``!``; it binds
tighter than ``and``, ``and`` tighter than ``or``.
"""

import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

from lark import Lark, Token, Transformer, UnexpectedInput, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedToken, VisitError

from streams.config.problems import nearest

MAX_TEXT = 10_000
MAX_DEPTH = 100
ARGUMENTS: dict[str, int] = {
    "contains": 2,
    "match": 2,
    "length": 1,
    "lowercase": 1,
    "uppercase": 1,
    "snakecase": 1,
    "kebabcase": 1,
    "titlecase": 1,
    "typeof": 1,
    "bool": 1,
    "string": 1,
    "number": 1,
}
"""Functions and how many arguments each takes."""

_GRAMMAR = r"""
?start: or_
?or_: and_ (_OR and_)*
?and_: not_ (_AND not_)*
?not_: (_NOT | _BANG) not_ -> not_
     | comparison
?comparison: value (OPERATOR value)?
?value: "(" or_ ")"
      | FUNCTION "(" (or_ ("," or_)*)? ")" -> call
      | "[" (or_ ("," or_)*)? "]" -> array
      | STRING -> string
      | NUMBER -> number
      | WORD -> word
      | PATH -> path
_OR.3: /or(?![\w\-\\.])/
_AND.3: /and(?![\w\-\\.])/
_NOT.3: /not(?![\w\-\\.])/
_BANG.1: "!"
OPERATOR.3: "!=" | "<=" | ">=" | "=" | "<" | ">" | /in(?![\w\-\\.])/
WORD.3: /(true|false|null)(?![\w\-\\.])/
FUNCTION.2: /[A-Za-z]\w*(?=\s*\()/
NUMBER.1: /-?\d+(\.\d+)?([eE][+-]?\d+)?(?![\w\-\\.])/
STRING: /"(\\.|[^"\\])*"|'(\\.|[^'\\])*'/s
PATH: /([A-Za-z_\-]|\\.)([\w\-]|\\.)*(\.([A-Za-z0-9_\-]|\\.)+)*/s
%import common.WS
%ignore WS
"""


class FqlError(Exception):
    """A text that isn't FQL: what is wrong, where (from 1), and what to write."""

    def __init__(self, message: str, text: str, line: int, column: int, write: str = "") -> None:
        self.message, self.text, self.line, self.column, self.write = message, text, line, column, write
        super().__init__(f"{message}\n{self.caret}")

    @property
    def caret(self) -> str:
        """The line of the text with a caret under the place."""
        lines = self.text.splitlines() or [""]
        shown = lines[min(self.line, len(lines)) - 1]
        start = max(0, self.column - 60)
        return f"  {shown[start : start + 100]}\n  {' ' * (self.column - 1 - start)}^"


@dataclass(frozen=True, slots=True)
class Literal:
    """A value of JSON, written in the text."""

    value: Any
    at: "Place" = field(default=(1, 1), compare=False)


@dataclass(frozen=True, slots=True)
class Field:
    """A dotted path into the message."""

    path: tuple[str, ...]
    at: "Place" = field(default=(1, 1), compare=False)
    escaped: bool = field(default=False, compare=False)
    """Whether it begins with a backslash."""


@dataclass(frozen=True, slots=True)
class Call:
    """A function, an operator (``=``, ``in``, …) or ``[]``, which makes a list of its arguments."""

    name: str
    arguments: "tuple[Node, ...]"
    at: "Place" = field(default=(1, 1), compare=False)


@dataclass(frozen=True, slots=True)
class Logic:
    """``and``, ``or`` or ``not`` of its parts."""

    name: str
    parts: "tuple[Node, ...]"


Node = Literal | Field | Call | Logic
Place = tuple[int, int]
"""Line and column in the text, from 1."""


class _MisuseError(Exception):
    """Right grammar, wrong meaning, at a token."""

    def __init__(self, message: str, token: Token, write: str) -> None:
        super().__init__(message)
        self.message, self.token, self.write = message, token, write


_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_WHOLE = re.compile(r"-?\d{1,30}\Z")
_CONTROL = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"'}


def _unescape(match: re.Match[str]) -> str:
    """Escapes that mean nothing stay, backslash and all: ``match(event, 'a\\*')`` needs its own."""
    escaped = match[1]
    if len(escaped) == 5:
        return chr(int(escaped[1:], 16))
    return _CONTROL.get(escaped, match[0])


@v_args(inline=True)
class _Build(Transformer[Token, Node]):
    def or_(self, *parts: Node) -> Node:
        return Logic("or", parts)

    def and_(self, *parts: Node) -> Node:
        return Logic("and", parts)

    def not_(self, part: Node) -> Node:
        return Logic("not", (part,))

    def comparison(self, left: Node, operator: Token, right: Node) -> Node:
        return Call(str(operator), (left, right), _at(operator))

    def call(self, name: Token, *arguments: Node) -> Node:
        wanted = ARGUMENTS.get(name)
        if wanted is None:
            raise _MisuseError(f"there is no function {str(name)!r}", name, nearest(name, ARGUMENTS))
        if wanted != len(arguments):
            example = f"{name}({', '.join(['userId', chr(39) + 'text' + chr(39)][:wanted])})"
            raise _MisuseError(f"{name}() takes {wanted}, not {len(arguments)}", name, example)
        return Call(str(name), arguments, _at(name))

    def array(self, *members: Node) -> Node:
        return Call("[]", members)

    def string(self, token: Token) -> Node:
        return Literal(_ESCAPE.sub(_unescape, token[1:-1]), _at(token))

    def number(self, token: Token) -> Node:
        if _WHOLE.match(token):
            return Literal(int(token), _at(token))
        value = float(token)
        return Literal(int(value) if value.is_integer() and abs(value) < 2**53 else value, _at(token))

    def word(self, token: Token) -> Node:
        return Literal({"true": True, "false": False, "null": None}[token], _at(token))

    def path(self, token: Token) -> Node:
        return Field(tuple(_split(token)), _at(token), token.startswith("\\"))


def _at(token: Token) -> Place:
    return token.line or 1, token.column or 1


def _split(path: str) -> list[str]:
    parts, part, escaped = [], "", False
    for character in path:
        if escaped or character not in "\\.":
            part, escaped = part + character, False
        elif character == ".":
            parts.append(part)
            part = ""
        else:
            escaped = True
    return [*parts, part]


# A transformer inside an LALR parser works bottom-up without recursion: no text is too deep for it.
_PARSER = Lark(_GRAMMAR, parser="lalr", transformer=_Build(), maybe_placeholders=False)


def parse(text: str) -> Node:
    """The text as a tree, at most 100 deep.

    Raises:
        FqlError: nothing else, whatever the text.
    """
    if len(text) > MAX_TEXT:
        raise FqlError(f"longer than {MAX_TEXT} characters", text[:100], 1, 1, "several rules")
    if not text.strip():
        raise FqlError("the condition is empty", text, 1, 1, "type = 'track'")
    try:
        tree: Any = _PARSER.parse(text)
    except _MisuseError as error:
        _fail(error.message, text, error.token, error.write)
    except VisitError as error:
        inner = error.orig_exc
        if isinstance(inner, _MisuseError):
            _fail(inner.message, text, inner.token, inner.write)
        raise FqlError(str(inner), text, 1, 1) from None
    except UnexpectedInput as error:
        raise _unexpected(text, error) from None
    if _depth(tree) > MAX_DEPTH:
        raise FqlError(f"nested deeper than {MAX_DEPTH}", text, 1, 1, "fewer negations and functions")
    node: Node = tree
    return node


def _fail(message: str, text: str, token: Token, write: str) -> NoReturn:
    raise FqlError(message, text, token.line or 1, token.column or 1, write) from None


def _unexpected(text: str, error: UnexpectedInput) -> FqlError:
    if isinstance(error, UnexpectedEOF) or (
        isinstance(error, UnexpectedToken) and error.token.type == "$END"
    ):
        lines = text.splitlines()
        opened = text.count("(") > text.count(")")
        write = "a closing )" if opened else "a value: 'text', 1, true, null or a field"
        return FqlError("the condition ends too early", text, len(lines), len(lines[-1]) + 1, write)
    line, column = max(error.line, 1), max(error.column, 1)
    if isinstance(error, UnexpectedCharacters):
        return FqlError(
            f"unexpected {error.char!r}", text, line, column, _instead(error.char, text, error.pos_in_stream)
        )
    found = str(error.token) if isinstance(error, UnexpectedToken) else ""
    write = _instead(found, text, error.pos_in_stream)
    return FqlError(f"unexpected {found!r}", text, line, column, write)


_HINTS = {
    "[": "dots, as in properties.products.0.id; in [1, 2] for several values",
    "$": "a dotted path without $, as in properties.total",
    ".": "single dots between names; \\ before a sign in a name, as in properties.\\$value",
    ",": "in [1, 2] for several values; and, or between conditions",
    "not": "not before the field, as in not event in ['a', 'b']",
    "is": "=",
    "like": "match(field, 'text*')",
    "“": "straight quotes, \" or '",
    "”": "straight quotes, \" or '",
}


def _instead(found: str, text: str, position: int | None) -> str:
    before = text[: position or 0].rstrip()[-1:]
    if found == "=" and before in "=<>!":
        return "one =" if before == "=" else f"{before}="
    if found in ("&", "|"):
        return "and" if found == "&" else "or"
    if found in ('"', "'"):
        return "a closing quote of the same kind"
    if (said := _HINTS.get(found) or _HINTS.get(found[:1])) is not None:
        return said
    if found in ARGUMENTS:
        return f"{found}(field, 'text')"
    if found.lower() in ("and", "or", "not", "in", "true", "false", "null"):
        return found.lower() if found != found.lower() else "a value before it"
    return "an operator (= != < <= > >= in), and, or, or the end"


def _depth(node: Node) -> int:
    deepest, left = 0, [(node, 1)]
    while left:
        current, depth = left.pop()
        deepest = max(deepest, depth)
        if isinstance(current, Call):
            left += [(inner, depth + 1) for inner in current.arguments]
        elif isinstance(current, Logic):
            left += [(inner, depth + 1) for inner in current.parts]
    return deepest
