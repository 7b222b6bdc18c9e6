"""Klaviyo's rate limits: fixed windows, each endpoint of an account for itself (specification 2026-07-15)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Limit:
    """Requests in each burst and each steady window; the windows' lengths in seconds.

    ``at_once`` is how many an idle budget may let go together. Where a backlog is sent it is small: what goes
    together is freed together a window later, and even spacing is lost.
    """

    burst: int
    steady: int
    burst_s: float = 1.0
    steady_s: float = 60.0
    at_once: int = 1

    def less(self, headroom: float) -> "Limit":
        """What remains when a share (0..1) is left to others; never nothing."""
        share = 1.0 - headroom
        burst, steady, at_once = (
            max(1, int(each * share)) for each in (self.burst, self.steady, self.at_once)
        )
        return replace(self, burst=burst, steady=steady, at_once=at_once)


_S = Limit(3, 60)
_M = Limit(10, 150)
_L = Limit(75, 750, at_once=7)
_XL = Limit(350, 3500, at_once=350)
_READ = Limit(350, 3500, at_once=16)
_DAILY = Limit(10, 150, steady_s=86_400.0, at_once=150)
"""150 a minute and a day: the second holds the first. A day's may go at once."""

EVENT_SINGLE = "event/single"
EVENT_BULK = "event/bulk"
EVENTS_GET = "events/get"
METRICS_GET = "metrics/get"
PROFILE_IMPORT = "profile/import"
PROFILE_GET = "profile/get"
PROFILE_BULK = "profile/bulk"
PROFILE_BULK_GET = "profile/bulk/get"
PROFILE_BULK_ERRORS = "profile/bulk/errors"
MERGE = "merge"
ERASE = "erase"
LIST_CREATE = "list/write"
LIST_GET = "list/get"
LIST_SIZE = "list/get/one"
LIST_ADD = "list/members"
LIST_REMOVE = "list/members/remove"
SUBSCRIBE = "subscribe"
UNSUBSCRIBE = "unsubscribe"
SUPPRESS = "suppress"
UNSUPPRESS = "unsuppress"

LIMITS: Mapping[str, Limit] = MappingProxyType(
    {
        EVENT_SINGLE: _XL,
        EVENT_BULK: _M,
        EVENTS_GET: _READ,
        METRICS_GET: _M,
        PROFILE_IMPORT: _L,
        PROFILE_GET: _L,
        PROFILE_BULK: _M,
        PROFILE_BULK_GET: _M,
        PROFILE_BULK_ERRORS: _M,
        LIST_CREATE: _DAILY,
        LIST_GET: _L,
        LIST_SIZE: Limit(1, 15),
        LIST_ADD: _M,
        LIST_REMOVE: _M,
        SUBSCRIBE: _L,
        UNSUBSCRIBE: _L,
        SUPPRESS: _L,
        UNSUPPRESS: _L,
        MERGE: _M,
        ERASE: _S,
    }
)
"""Budget name → limit."""
