"""Which Klaviyo events Segment has: remembered for 28 days, because Klaviyo's webhooks repeat for longer than
Segment removes duplicates.

- ``s`` + op id → sent at (ms, 8 bytes)
- ``t`` + sent at (8 bytes) + op id → nothing: the oldest first
"""

from collections.abc import Iterable, Iterator
from typing import Final

REMEMBERED_MS: Final = 28 * 86_400_000


def sent_key(op_id: str) -> bytes:
    """Where a sent call stands."""
    return b"s" + op_id.encode()


def remember(op_id: str, at: int) -> Iterator[tuple[bytes, bytes]]:
    """The state that remembers a call sent at ``at`` (ms)."""
    when = at.to_bytes(8)
    yield sent_key(op_id), when
    yield b"t" + when + op_id.encode(), b""


def forgettable(oldest_first: Iterable[tuple[bytes, bytes]], now: int) -> Iterator[bytes]:
    """State keys of calls sent more than 28 days before ``now`` (ms), from the keys that begin with ``t``."""
    for key, _ in oldest_first:
        if int.from_bytes(key[1:9]) >= now - REMEMBERED_MS:
            return
        yield key
        yield b"s" + key[9:]
