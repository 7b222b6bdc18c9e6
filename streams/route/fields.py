"""A rule's own fields: found in the message by path, put over what the template gives."""

from collections.abc import Callable, Mapping
from typing import Any

from streams.config.paths import MISSING, first_of
from streams.config.rule import FieldMap
from streams.route.formats import FORMATS, phone

Getter = Callable[[Any, list[str]], Any]
"""Message, list for the names of what could not be mapped → value or ``MISSING``."""

_DEEPEST = 8
"""Flattening stops here; what is deeper stays an object."""


def compile_field(field: FieldMap) -> Getter:
    """The field's value in a message, in its format, else its constant."""
    get = first_of(field.path) if field.path else None
    constant = field.constant if field.constant is not None else MISSING
    if get is None:
        return lambda message, unmapped: constant
    paths = ", ".join(field.path)
    if field.format is None:

        def plain(message: Any, unmapped: list[str]) -> Any:
            value = get(message)
            return constant if value is MISSING else value

        return plain
    country = first_of(field.country) if field.country else None
    convert = FORMATS[field.format]

    def formatted(message: Any, unmapped: list[str]) -> Any:
        value = get(message)
        if value is MISSING or value is None:
            return constant if value is MISSING else None
        found = phone(value, country(message)) if country else convert(value)
        if found is MISSING:
            unmapped.append(paths)
            return constant
        return found

    return formatted


def compile_fields(fields: Mapping[str, FieldMap | None]) -> tuple[tuple[str, Getter | None], ...]:
    """Target and getter of each; None = the target is left out."""
    return tuple((target, compile_field(field) if field else None) for target, field in fields.items())


def flattened(properties: Mapping[str, Any], prefix: str = "", depth: int = 1) -> dict[str, Any]:
    """Objects inside become ``a.b`` properties; lists and empty objects stay."""
    flat: dict[str, Any] = {}
    for name, value in properties.items():
        if isinstance(value, dict) and value and depth < _DEEPEST:
            flat |= flattened(value, f"{prefix}{name}.", depth + 1)
        else:
            flat[prefix + name] = value
    return flat
