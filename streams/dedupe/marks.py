"""Marks of what was seen, in buckets of time that are dropped whole."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

BUCKETS: Final = 2
"""A window is two buckets long, so a mark lives for one window at least and one and a half at most."""


def bucket_of(accepted_at: int, window_ms: int) -> int:
    """The bucket of an accepted-at (ms)."""
    return accepted_at * BUCKETS // window_ms


def mark(bucket: int, uid: bytes) -> bytes:
    """State key: the bucket first, so that a bucket is one range."""
    return b"m" + bucket.to_bytes(4) + uid


@lru_cache(maxsize=16)
def _beginnings(bucket: int) -> list[bytes]:
    """What the candidates of a bucket begin with: the same for thousands of events."""
    return [mark(earlier, b"") for earlier in range(max(bucket - BUCKETS, 0), bucket + 1)]


def candidates(bucket: int, uid: bytes) -> list[bytes]:
    """Where a mark of this event may stand; a new one goes to the last of these."""
    return [beginning + uid for beginning in _beginnings(bucket)]


def expired(bucket: int) -> tuple[bytes, bytes]:
    """The range of all marks too old to count when ``bucket`` is the clock's."""
    return mark(0, b""), mark(max(bucket - BUCKETS, 0), b"")


def first_seen(
    found: Sequence[bytes | None], uids: Sequence[bytes], keys: Sequence[Sequence[bytes]]
) -> list[bool]:
    """For each event of a batch whether nobody saw it: neither the marks nor the batch before it.

    Args:
        found: the marks' values, in the order of all ``keys``.
        uids: event uid of each event.
        keys: candidate keys of each event.
    """
    seen: set[bytes] = set()
    new: list[bool] = []
    at = 0
    for uid, own in zip(uids, keys, strict=True):
        marked = any(value is not None for value in found[at : at + len(own)])
        at += len(own)
        new.append(not marked and uid not in seen)
        seen.add(uid)
    return new
