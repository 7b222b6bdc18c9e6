"""Marks of what was seen, in buckets of time that are dropped whole."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

BUCKETS: Final = 2
"""A window is two buckets long, so a mark lives for one window at least and one and a half at most."""

CLOCKS_MS: Final = 600_000
"""Two deliveries of an event may pass each other by so much: gateways' clocks, and tries under way."""


def bucket_of(accepted_at: int, window_ms: int) -> int:
    """The bucket of an accepted-at (ms)."""
    return accepted_at * BUCKETS // window_ms


def ends_soon(accepted_at: int, window_ms: int) -> bool:
    """Whether a repetition, by another gateway's clock or way, may be in the next bucket already."""
    return bucket_of(accepted_at + CLOCKS_MS, window_ms) > bucket_of(accepted_at, window_ms)


def mark(bucket: int, uid: bytes) -> bytes:
    """State key: the bucket first, so that a bucket is one range."""
    return b"m" + bucket.to_bytes(4) + uid


@lru_cache(maxsize=16)
def _beginnings(bucket: int, ahead: bool) -> list[bytes]:
    """What the candidates of a bucket begin with: the same for thousands of events."""
    later = [bucket + 1] if ahead else []
    return [mark(each, b"") for each in (*range(max(bucket - BUCKETS, 0), bucket), *later, bucket)]


def candidates(bucket: int, uid: bytes, *, ahead: bool = False) -> list[bytes]:
    """Where a mark of it may stand, with ``ahead`` in the next bucket, too; a new one goes to the last."""
    return [beginning + uid for beginning in _beginnings(bucket, ahead)]


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
