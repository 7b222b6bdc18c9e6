"""What a row says as a Segment message: an identify whose traits are its columns, or a track. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from streams.gateway.messages import EXACT
from streams.segment.times import epoch_ms

_OPTIONS: Final = orjson.OPT_SORT_KEYS | orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z
_TRUE: Final = frozenset({"true", "t", "yes", "y", "1"})
_FALSE: Final = frozenset({"false", "f", "no", "n", "0"})


class Unmappable(Exception):
    """What a row's values can't be; the text names the column."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a column's value goes: the trait's path, empty to leave it out, and what it is read as."""

    path: tuple[str, ...]
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """How rows become messages.

    ``name`` is the source's; ``user_id``, ``email`` and ``time`` are columns; ``event`` makes tracks;
    ``run`` is a part of each message id where a row that did not change is to be another message.
    """

    name: str
    user_id: str | None
    email: str | None
    event: str | None = None
    time: str | None = None
    maps: Mapping[str, Target] = field(default_factory=dict)
    run: str = ""

    @property
    def named(self) -> tuple[str, ...]:
        """All columns it asks for."""
        return tuple(dict.fromkeys(c for c in (self.user_id, self.email, self.time, *self.maps) if c))

    @property
    def digest(self) -> str:
        """Equal for shapes that make the same messages."""
        maps = sorted((column, *target.path, target.kind) for column, target in self.maps.items())
        meant = orjson.dumps([self.name, self.user_id, self.email, self.event, self.time, maps])
        return blake2b(meant, digest_size=8).hexdigest()


class Message(NamedTuple):
    """A row's message: parsed, its bytes, whose it is, and a digest of what it says."""

    message: dict[str, Any]
    body: bytes
    key: bytes
    digest: bytes


def message_of(values: Mapping[str, Any], shape: Shape, number: int = 0) -> Message:
    """The row's message.

    An event's id is a hash of source, user and content: the same row is the same event, whenever it comes.
    What an identify says may be said again after something else, so its id has run and row number, too.

    Raises:
        Unmappable: a value can't be what it is to be; says which and why.
    """
    fields: dict[str, Any] = {}
    for column, value in values.items():
        if column in (shape.user_id, shape.email, shape.time):
            continue
        target = shape.maps.get(column)
        if target is None:
            fields[column] = value
        elif target.path:
            _put(fields, target.path, _converted(value, target.kind, column))
    email = values.get(shape.email) if shape.email else None
    message: dict[str, Any] = {"type": "identify" if shape.event is None else "track"}
    user_id = _id(values.get(shape.user_id)) if shape.user_id else None
    if user_id is not None:
        message["userId"] = user_id
    if shape.event is None:
        message["traits"] = fields if email is None else {"email": email, **fields}
    else:
        message |= {"event": shape.event, "properties": fields}
        if email is not None:
            message["context"] = {"traits": {"email": email}}
    if shape.time:
        message["timestamp"] = _time(values.get(shape.time), shape.time)
    return _identified(message, shape, str(user_id or email), number)


def _identified(message: dict[str, Any], shape: Shape, key: str, number: int) -> Message:
    try:
        content = orjson.dumps(message, default=_plain, option=_OPTIONS)
    except TypeError as error:  # orjson's own errors are
        raise Unmappable(f"the row can't be written as JSON: {error.__cause__ or error}") from None
    run = shape.run if shape.event is not None else f"{shape.run}/{number}"
    parts = (shape.name.encode(), key.encode(), run.encode(), content)
    message_id = "import-" + blake2b(b"\0".join(parts), digest_size=16).hexdigest()
    body = b'{"messageId":"%s",%s' % (message_id.encode(), content[1:])
    return Message(orjson.loads(body), body, _digest(key.encode()), _digest(content))


def _id(value: Any) -> str | int | None:
    """A user id, whose column may have become one of floats on its way: 12.0 is 12, and NaN is none."""
    if isinstance(value, bytes):
        raise Unmappable("the user id is bytes")
    if isinstance(value, float) and abs(value) > EXACT:
        raise Unmappable("the user id is a number too long to be read exactly: it has to be text")
    if isinstance(value, float | Decimal):
        exact = Decimal(value)
        if exact.is_nan():
            return None
        return str(int(exact)) if exact.is_finite() and exact == exact.to_integral_value() else str(value)
    return value if value is None or isinstance(value, str | int) else str(value)


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=16).digest()


def _put(fields: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    *outer, name = path
    for part in outer:
        inner = fields.setdefault(part, {})
        if not isinstance(inner, dict):
            raise Unmappable(f"{part} is a value and can't hold {name}, too")
        fields = inner
    fields[name] = value


def _time(value: Any, column: str) -> str | int | float:
    if isinstance(value, datetime | date):
        value = value.isoformat()
    if epoch_ms(value) is None:
        raise Unmappable(f"{column} has to be a time, this is {_shown(value)}")
    found: str | int | float = value
    return found


def _converted(value: Any, kind: str, column: str) -> Any:
    if not kind or value is None:
        return value
    try:
        return KINDS[kind](value)
    except (ValueError, ArithmeticError):
        raise Unmappable(f"{column} has to be {kind}, this is {_shown(value)}") from None


def _number(value: Any) -> int | float:
    if isinstance(value, str):
        value = Decimal(value.strip())
    if not isinstance(value, int | float | Decimal):
        raise ValueError
    if isinstance(value, Decimal) and not value.is_finite():
        raise ValueError
    return int(value) if value == int(value) else float(value)


def _boolean(value: Any) -> bool:
    text = str(value).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError


def _json(value: Any) -> Any:
    return orjson.loads(value) if isinstance(value, str | bytes) else value


KINDS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "number": _number,
    "boolean": _boolean,
    "json": _json,
    "text": str,
}
"""What a column can be read as; the others stay what the source has them as."""


def _plain(value: Any) -> Any:
    """What JSON has no word for, as near as it has one."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime | date | time | UUID):  # subclasses that orjson leaves to us
        return str(value)
    raise TypeError(f"there is no JSON for {type(value).__name__}")


def _shown(value: Any) -> str:
    return "missing" if value is None else repr(value)[:60]


def target(text: str) -> tuple[str, Target]:
    """Read ``COLUMN=TRAIT[:KIND]``; a dot in the trait nests, an empty one leaves the column out.

    Raises:
        ValueError: says what it has to be.
    """
    column, equals, rest = text.partition("=")
    path, colon, kind = rest.partition(":")
    if not column or not equals or (colon and kind not in KINDS):
        raise ValueError(f"{text!r}: write COLUMN=TRAIT or COLUMN=TRAIT:KIND, KIND one of {', '.join(KINDS)}")
    parts = tuple(path.split(".")) if path else ()
    if not all(parts) and parts:
        raise ValueError(f"{text!r}: a part of the trait's path is empty")
    return column, Target(parts, kind)
