"""Contracts: what an event's properties must be, written as Avro schemas, one file an event.

A contract is a record schema with the event's name under ``event``. A field without a default must be
there; what the schema does not name is welcome. A property whose name is no Avro name stands under
``property`` beside the field's own. Numbers may be whole where ``double`` is asked for; nothing is converted.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from streams.segment.fitting import Fits, compile_fits

MOST_SHOWN: Final = 20
"""Violations of one event that are told; a list of a thousand broken products says no more."""


class Violation(NamedTuple):
    """One place where a message differs from its contract."""

    path: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.path} must be {self.expected}, this is {self.found}"


Check = Callable[[Any, str, list[Violation]], None]
"""Value, where it stands, list for what is wrong with it."""
_WORDS = {
    str: "text",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
}


_KINDS = {"record": "an object", "map": "an object", "array": "a list"}


class ContractError(Exception):
    """A schema that can't be a contract; says where and why."""


class Contracts:
    """All contracts of a line, compiled."""

    def __init__(self, schemas: Iterable[Mapping[str, Any]]) -> None:
        """Compile.

        Raises:
            ContractError: a schema has no event, names one twice, or has a type that contracts don't know.
        """
        self._checks: dict[str, tuple[Fits, Check]] = {}
        self.events: dict[str, Mapping[str, Any]] = {}
        """Event → its schema."""
        for schema in schemas:
            event = schema.get("event")
            if not isinstance(event, str) or not event:
                raise ContractError(f'{schema.get("name")}: write "event": the name of the event it is for')
            if event in self._checks:
                raise ContractError(f"{event}: there are two contracts for it")
            check = _compile(schema, event)
            self._checks[event] = compile_fits(schema), check
            self.events[event] = schema

    def violations(self, message: Mapping[str, Any]) -> list[Violation]:
        """Everything wrong with a track's properties; nothing where there is no contract for its event."""
        event = message.get("event")
        checks = self._checks.get(event) if isinstance(event, str) else None
        if checks is None or message.get("type", "track") != "track":
            return []
        fits, check = checks
        properties = message.get("properties")
        if properties is None:
            properties = {}
        if fits(properties):
            return []
        wrong: list[Violation] = []
        check(properties, "properties", wrong)
        return wrong


def _compile(schema: Any, where: str) -> Check:
    if isinstance(schema, list):
        return _union(expected(schema), [_compile(part, where) for part in schema])
    if isinstance(schema, str):
        if schema not in _SIMPLE:
            raise ContractError(f"{where}: contracts know no type {schema!r}; there are {', '.join(_SIMPLE)}")
        return _simple(schema, _SIMPLE[schema])
    kind = schema.get("type") if isinstance(schema, Mapping) else None
    if kind == "record":
        return _record(schema, where)
    if kind == "array":
        return _array(_compile(schema.get("items"), f"{where}[]"))
    if kind == "map":
        return _map(_compile(schema.get("values"), f"{where}.*"))
    if kind == "enum":
        return _enum(tuple(schema.get("symbols", ())))
    if kind is None:
        raise ContractError(f"{where}: {schema!r} is no Avro type")
    return _compile(kind, where)


def _record(schema: Mapping[str, Any], where: str) -> Check:
    fields = schema.get("fields")
    if not isinstance(fields, list) or not all(isinstance(f, Mapping) and "name" in f for f in fields):
        raise ContractError(f"{where}: a record needs fields, each with a name")
    compiled = [
        (f.get("property", f["name"]), "default" in f, _compile(f.get("type"), f"{where}.{f['name']}"), f)
        for f in fields
    ]

    def check(value: Any, place: str, wrong: list[Violation]) -> None:
        if not isinstance(value, dict):
            _tell(wrong, place, "an object", value)
            return
        for name, optional, inner, field in compiled:
            if name in value:
                inner(value[name], f"{place}.{name}", wrong)
            elif not optional and len(wrong) < MOST_SHOWN:
                wrong.append(Violation(f"{place}.{name}", expected(field["type"]), "missing"))

    return check


def _array(inner: Check) -> Check:
    def check(value: Any, place: str, wrong: list[Violation]) -> None:
        if not isinstance(value, list):
            _tell(wrong, place, "a list", value)
            return
        for index, member in enumerate(value):
            inner(member, f"{place}[{index}]", wrong)

    return check


def _map(inner: Check) -> Check:
    def check(value: Any, place: str, wrong: list[Violation]) -> None:
        if not isinstance(value, dict):
            _tell(wrong, place, "an object", value)
            return
        for name, member in value.items():
            inner(member, f"{place}.{name}", wrong)

    return check


def _enum(symbols: tuple[str, ...]) -> Check:
    def check(value: Any, place: str, wrong: list[Violation]) -> None:
        if value not in symbols:
            _tell(wrong, place, f"one of {', '.join(symbols)}", value)

    return check


def _union(name: str, parts: list[Check]) -> Check:
    def check(value: Any, place: str, wrong: list[Violation]) -> None:
        tries: list[list[Violation]] = []
        for part in parts:
            mine: list[Violation] = []
            part(value, place, mine)
            if not mine:
                return
            tries.append(mine)
        # An object that is nearly one of the records is told by what that one misses.
        inside = [mine for mine in tries if mine[0].path != place]
        if inside:
            wrong.extend(inside[0][: MOST_SHOWN - len(wrong)])
        else:
            _tell(wrong, place, name, value)

    return check


def _simple(name: str, fits: Callable[[Any], bool]) -> Check:
    def check(value: Any, place: str, wrong: list[Violation]) -> None:
        if not fits(value):
            _tell(wrong, place, name, value)

    return check


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_SIMPLE: dict[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "int": lambda value: _is_whole(value) and -(2**31) <= value < 2**31,
    "long": _is_whole,
    "float": lambda value: isinstance(value, float) or _is_whole(value),
    "double": lambda value: isinstance(value, float) or _is_whole(value),
    "string": lambda value: isinstance(value, str),
}


def expected(schema: Any) -> str:
    """A type in words, as violations name it."""
    if isinstance(schema, list):
        return " or ".join(map(expected, schema))
    if isinstance(schema, Mapping):
        kind = schema.get("type")
        if kind == "enum":
            return f"one of {', '.join(schema.get('symbols', ()))}"
        return _KINDS.get(kind, "") or expected(kind) if isinstance(kind, str) else expected(kind)
    return str(schema)


def _tell(wrong: list[Violation], place: str, wanted: str, value: Any) -> None:
    if len(wrong) < MOST_SHOWN:
        wrong.append(Violation(place, wanted, _found(value)))


def _found(value: Any) -> str:
    """What a value is, with the start of a plain one."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    word = _WORDS.get(type(value), type(value).__name__)
    return word if isinstance(value, list | dict) else f"{word} {str(value)[:40]!r}"
