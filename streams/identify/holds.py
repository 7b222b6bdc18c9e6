"""Anonymous events that wait until somebody is known for them, in order, for so long and so many.

- ``h`` + anonymous id + zero byte + number (8 bytes) → accepted-at (8 bytes), record of ``segment.unique``
- ``x`` + accepted-at (8 bytes) + number (8 bytes) + anonymous id → nothing: what expires first comes first
"""

from collections.abc import Callable, Iterator
from typing import Final

from streams.identify.people import Pointer

HOUR_MS: Final = 3_600_000


def held_key(anonymous_id: str, number: int) -> bytes:
    """Where a held record stands."""
    return b"h" + anonymous_id.encode() + b"\0" + number.to_bytes(8)


def expiry_key(accepted_at: int, number: int, anonymous_id: str) -> bytes:
    """Where its time stands."""
    return b"x" + accepted_at.to_bytes(8) + number.to_bytes(8) + anonymous_id.encode()


def hold(
    anonymous_id: str, pointer: Pointer, accepted_at: int, record: bytes
) -> Iterator[tuple[bytes, bytes]]:
    """The state that keeps one more record; the pointer counts it."""
    number = pointer.held_to
    pointer.held_to += 1
    yield held_key(anonymous_id, number), accepted_at.to_bytes(8) + record
    yield expiry_key(accepted_at, number, anonymous_id), b""


def held_keys(anonymous_id: str, pointer: Pointer) -> list[bytes]:
    """Where the records held for it stand, in order."""
    return [held_key(anonymous_id, number) for number in range(pointer.held_from, pointer.held_to)]


def release(
    anonymous_id: str, pointer: Pointer, found: list[bytes | None]
) -> Iterator[tuple[int, bytes, list[bytes]]]:
    """The held records in order: accepted-at, record, state keys to delete. Then nothing is held."""
    for number, value in enumerate(found, start=pointer.held_from):
        if value is not None:
            accepted_at = int.from_bytes(value[:8])
            keys = [held_key(anonymous_id, number), expiry_key(accepted_at, number, anonymous_id)]
            yield accepted_at, value[8:], keys
    pointer.held_from = pointer.held_to


def make_room(pointer: Pointer, held: Callable[[int], bool]) -> None:
    """Let go of the first numbers where these are held no longer: they have expired."""
    while pointer.held_from < pointer.held_to and not held(pointer.held_from):
        pointer.held_from += 1


def parse_expiry(key: bytes) -> tuple[int, int, str]:
    """Accepted-at, number and anonymous id of an expiry key."""
    return int.from_bytes(key[1:9]), int.from_bytes(key[9:17]), key[17:].decode()
