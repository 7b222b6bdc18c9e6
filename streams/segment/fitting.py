"""Whether a value fits a contract's type, and nothing more: the fast answer for messages that do. Pure.

Values are JSON's, so their classes are exact: most types are a set of classes, a union of such types one set.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

Fits = Callable[[Any], bool]


class _Missing:
    """Stands for a property that is not there; its class is one that an optional field may have."""


_MISSING: Final = _Missing()
_CLASSES: Final[Mapping[str, frozenset[type]]] = {
    "null": frozenset({type(None)}),
    "boolean": frozenset({bool}),
    "long": frozenset({int}),
    "float": frozenset({float, int}),
    "double": frozenset({float, int}),
    "string": frozenset({str}),
}


def compile_fits(schema: Any) -> Fits:
    """The schema, which must be a valid contract's, as a function of a value."""
    classes = _classes(schema)
    if classes is not None:
        return lambda value: type(value) in classes
    if schema == "int":
        return lambda value: type(value) is int and -(2**31) <= value < 2**31
    if isinstance(schema, list):
        return _union(tuple(map(compile_fits, schema)))
    kind = schema["type"]
    if kind == "record":
        return _record(schema["fields"])
    if kind == "array":
        return _array(schema["items"])
    if kind == "map":
        inner = compile_fits(schema["values"])
        return lambda value: type(value) is dict and all(map(inner, value.values()))
    if kind == "enum":
        symbols = tuple(schema.get("symbols", ()))
        return lambda value: value in symbols
    return compile_fits(kind)


def _classes(schema: Any) -> frozenset[type] | None:
    """The classes that a type's values have, where that is all there is to it."""
    if isinstance(schema, str):
        return _CLASSES.get(schema)
    if isinstance(schema, list):
        parts = [_classes(part) for part in schema]
        known = [part for part in parts if part is not None]
        return frozenset().union(*known) if len(known) == len(parts) else None
    kind = schema["type"]
    return _classes(kind) if not isinstance(kind, str) or kind in _CLASSES else None


def _record(fields: list[Mapping[str, Any]]) -> Fits:
    plain: list[tuple[str, frozenset[type]]] = []
    nested: list[tuple[str, bool, Fits]] = []
    for field in fields:
        name, optional = field.get("property", field["name"]), "default" in field
        classes = _classes(field["type"])
        if classes is None:
            nested.append((name, optional, compile_fits(field["type"])))
        else:
            plain.append((name, classes | {_Missing} if optional else classes))

    def fits(value: Any) -> bool:
        if type(value) is not dict:
            return False
        get = value.get
        for name, classes in plain:
            if type(get(name, _MISSING)) not in classes:
                return False
        for name, optional, inner in nested:
            found = get(name, _MISSING)
            if found is _MISSING:
                if not optional:
                    return False
            elif not inner(found):
                return False
        return True

    return fits


def _array(items: Any) -> Fits:
    inner = compile_fits(items)

    def fits(value: Any) -> bool:
        return type(value) is list and all(map(inner, value))

    return fits


def _union(parts: tuple[Fits, ...]) -> Fits:
    def fits(value: Any) -> bool:
        return any(part(value) for part in parts)

    return fits
