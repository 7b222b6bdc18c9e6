"""Avro's binary form, written straight: a schema becomes a function, once, that knows each field's place.

The bytes are fastavro's, for a third of what they cost there: it reads the schema anew for each value and
tries the branches of each union. Only the types that ``avro/`` uses are known. Pure.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

Write = Callable[[Any], bytes]
"""A value in, its bytes out. One that does not fit the schema is a mistake of ours and raises."""


def compile_writer(schema: Any) -> Write:
    """A parsed schema of a record as a function of its values; a key that is missing has its default."""
    scope: dict[str, Any] = {"size": _SIZES, "long": _long, "fixed": _fixed, "array": _array}
    write: Write = scope[_function(schema, scope)]
    return write


def _function(schema: Any, scope: dict[str, Any]) -> str:
    """Put a function for a schema, and for each that it holds, into the scope; its name there."""
    name = f"write{len(scope)}"
    scope[name] = None
    if isinstance(schema, Mapping) and schema["type"] == "record":
        fields = [
            _parts(field["type"], f"get({field['name']!r}, {field.get('default')!r})", scope)
            for field in schema["fields"]
        ]
        scope[schema["name"]] = name
        body = f"get = value.get; return join(({', '.join(fields)},))"
    else:
        body = f"return join(({_parts(schema, 'value', scope)},))"
    exec(f"def {name}(value, join=b''.join): {body}", scope)  # of our own schemas only
    return name


def _parts(schema: Any, value: str, scope: dict[str, Any]) -> str:
    """Expressions, with commas between, that joined are the value; ``value`` is an expression, too."""
    match schema:
        case "string":
            return f"size[len(it := {value}.encode())], it"
        case "bytes":
            return f"size[len(it := {value})], it"
        case "int" | "long":
            return f"long({value})"
        case "boolean":
            return rf"b'\1' if {value} else b'\0'"
        case ["null", other]:
            some = _parts(other, "some", scope)
            return rf"*((b'\0',) if (some := {value}) is None else (b'\2', {some}))"
        case {"type": "array", "items": items}:
            return f"array({_function(items, scope)}, {value})"
        case {"type": "fixed", "size": size}:
            return f"fixed({value}, {size})"
        case {"type": "record"}:
            return f"{_function(schema, scope)}({value})"
        case str() if schema in scope:
            return f"{scope[schema]}({value})"
    raise TypeError(f"no type that is written here: {schema}")


def _varint(number: int) -> bytes:
    """Seven bits an octet, the lowest first; all but the last have the eighth set."""
    octets = bytearray()
    while number > 0x7F:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    octets.append(number)
    return bytes(octets)


class _Sizes(dict[int, bytes]):
    """Lengths as Avro writes them: those of nearly all values are made beforehand."""

    def __missing__(self, length: int) -> bytes:
        return _varint(length << 1)


_SIZES: Final = _Sizes({length: _varint(length << 1) for length in range(4096)})


@lru_cache(maxsize=4096)
def _long(value: int) -> bytes:
    """A whole number of 64 bits: the nearer to 0, the shorter."""
    zigzag = value << 1 ^ value >> 63
    if zigzag >> 64:
        raise OverflowError(f"{value} has more than 64 bits")
    return _varint(zigzag)


def _fixed(value: bytes, size: int) -> bytes:
    if len(value) != size:
        raise ValueError(f"{len(value)} bytes, not {size}")
    return value


def _array(write: Write, values: Sequence[Any]) -> bytes:
    return b"".join((_long(len(values)), *map(write, values), b"\0")) if values else b"\0"
