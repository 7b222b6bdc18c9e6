"""How far each metric was polled, and which of the events that are asked for again were taken.

- ``poll/`` → when the last whole turn began; ``poll/`` + metric id → time of the newest event taken (epoch s)
- ``polled/`` + metric id + ``/`` + time (8 bytes, epoch s) + event id → nothing: what a next turn sees again

Events show late, so each turn asks for those of the last half hour again. What was taken is remembered for as
long as it is asked for. Beyond what feedback remembers of its calls to Segment nothing is asked for: what a
webhook brought so long ago would be sent twice.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from streams.klaviyo.polling import Item

OVERLAP_S: Final = 1800
REACH_S: Final = 27 * 86_400
"""A day less than sent events are remembered at Segment's side."""
_CURSORS: Final = b"poll/"
_TAKEN: Final = b"polled/"
_TIME: Final = 8


def cursor_key(metric_id: str = "") -> bytes:
    """Where the cursor of a metric stands; without one, that of the turns."""
    return _CURSORS + metric_id.encode()


def cursor_form(at_s: int) -> bytes:
    """A cursor's value."""
    return b"%d" % at_s


def taken_keys(metric_id: str) -> bytes:
    """The beginning of the keys of a metric's events."""
    return _TAKEN + metric_id.encode() + b"/"


def taken_key(metric_id: str, item: Item) -> bytes:
    """Where it stands that an event was taken."""
    return taken_keys(metric_id) + max(0, item.at_s).to_bytes(_TIME) + item.event_id.encode()


def since(own: bytes | None, turns: bytes | None, now_s: int) -> int:
    """From where on a metric is asked for (epoch s), without the overlap; a new one, since the last turn."""
    known = own or turns
    return max(int(known), now_s - REACH_S) if known else now_s


def moved(at_s: int, found: Iterable[Item], now_s: int) -> int:
    """The cursor after a page: at its newest event, but never in the future."""
    return max([at_s, *(min(item.at_s, now_s) for item in found)])


def past(keys: Iterable[tuple[bytes, bytes]], metric_id: str, cursor_s: int) -> Iterator[bytes]:
    """Keys of events that are not asked for again, from a metric's keys, the oldest first."""
    start = len(taken_keys(metric_id))
    for key, _ in keys:
        if int.from_bytes(key[start : start + _TIME]) >= cursor_s - OVERLAP_S:
            return
        yield key
