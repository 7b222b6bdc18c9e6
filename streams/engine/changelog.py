"""The changelog's records: a stage's state and position, so that another worker can take over.

Two forms. Keyed: one record a change, compacted by key. Packed: one record a batch, deleted by retention, for
state that only ages, such as dedupe's marks. In both the position is the last record of its transaction.
"""

from collections.abc import Iterator
from struct import Struct
from typing import Any, Final

import orjson

POSITION_KEY: Final = b"\x00position"
_LENGTHS: Final = Struct("<HI")
_GONE: Final = 0xFFFFFFFF


def records(
    changes: dict[bytes, bytes | None], position: bytes, packed: bool
) -> list[tuple[bytes, bytes | None]]:
    """The transaction's changelog records in order, key and value; the position's comes last."""
    if packed:
        return [(POSITION_KEY, pack(changes | {POSITION_KEY: position}))]
    return [*changes.items(), (POSITION_KEY, position)]


def changes_of(key: bytes, value: bytes | None, packed: bool) -> Iterator[tuple[bytes, bytes | None]]:
    """The changes that one changelog record holds."""
    if packed and value is not None:
        yield from unpack(value)
    else:
        yield key, value


def position(key: bytes | None, value: bytes | None) -> dict[str, Any] | None:
    """The positions that a changelog record holds: logical topic → next offset (or dict), else None."""
    if key != POSITION_KEY or value is None:
        return None
    raw = value if value.startswith(b"{") else dict(unpack(value))[POSITION_KEY]
    positions: dict[str, Any] = orjson.loads(raw or b"{}")["positions"]
    return positions


def pack(changes: dict[bytes, bytes | None]) -> bytes:
    """Changes as one value: key length, value length (all ones = deleted), key, value, over and over."""
    parts: list[bytes] = []
    for key, value in changes.items():
        if value is None:
            parts += (_LENGTHS.pack(len(key), _GONE), key)
        else:
            parts += (_LENGTHS.pack(len(key), len(value)), key, value)
    return b"".join(parts)


def unpack(data: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    """The changes of ``pack``, in order."""
    at, end = 0, len(data)
    while at < end:
        key_length, value_length = _LENGTHS.unpack_from(data, at)
        at += _LENGTHS.size
        key = data[at : at + key_length]
        at += key_length
        if value_length == _GONE:
            yield key, None
        else:
            yield key, data[at : at + value_length]
            at += value_length
