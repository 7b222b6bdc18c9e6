"""Fixed rate-limit windows, each account and endpoint for itself."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from streams.simulators.klaviyo.config import Budget, SimConfig

_XS = Budget(burst=1, steady=15)
_S = Budget(burst=3, steady=60)
_M = Budget(burst=10, steady=150)
_L = Budget(burst=75, steady=750)
_XL = Budget(burst=350, steady=3500)
PUBLISHED: Mapping[str, Budget] = {
    "event/single": _XL,
    "event/bulk": _M,
    "events/get": _XL,
    "event/get": _M,
    "metrics/get": _M,
    "profile/import": _L,
    "profile/create": _L,
    "profile/patch": _L,
    "profile/get": _L,
    "profile/bulk": _M,
    "list/write": Budget(burst=10, steady=150, daily=150),
    "list/get": _L,
    "list/get/one/profile_count": _XS,
    "list/members": _M,
    "subscribe": _L,
    "unsubscribe": _L,
    "suppress": _L,
    "unsuppress": _L,
    "merge": _M,
    "erase": _S,
    "accounts/get": _XS,
    "webhooks/get": _XS,
}
"""The specification's figures (burst a second, steady a minute), by budget name."""
_DAY_S = 86_400.0


def limit_of(name: str, config: SimConfig) -> Budget:
    """Return a budget's figures: set ones before published ones, its own before its parent's."""
    for figures in (config.budgets, PUBLISHED):
        known = name
        while known:
            if known in figures:
                return figures[known]
            known = known.rpartition("/")[0]
    return _M


@dataclass(frozen=True, slots=True)
class Taken:
    """What a request found: `wait_s` when it is refused, else the steady window's state."""

    limit: int
    remaining: int
    reset_s: int
    wait_s: int | None = None


class Budgets:
    """Counts per window; `steals` are other clients' requests a second on an account's budgets."""

    def __init__(self) -> None:
        self._used: Counter[tuple[str, str, str, int]] = Counter()
        self._newest: dict[tuple[str, str, str], int] = {}
        self._steals: dict[tuple[str, str], tuple[float, float]] = {}
        self._most: dict[str, int] = {}
        self.refused = 0

    def steal(self, account: str, name: str, rate: float, since: float) -> None:
        """Let another client take `rate` requests a second from now on ("*" for every name or account)."""
        self._steals[(account, name)] = (rate, since)

    def take(self, account: str, name: str, at: float, config: SimConfig) -> Taken:
        """Count one request that arrived at `at` (epoch seconds), or refuse it."""
        limit = limit_of(name, config)
        allowed = {"burst": limit.burst, "steady": limit.steady}
        lengths = {"burst": config.windows_s.burst, "steady": config.windows_s.steady}
        if limit.daily is not None:
            allowed["day"], lengths["day"] = limit.daily, _DAY_S
        found = {kind: self._window(account, name, kind, at, length) for kind, length in lengths.items()}
        left = {
            kind: allowed[kind] - self._spent(window, at, lengths[kind]) for kind, window in found.items()
        }
        ends = {kind: (window[3] + 1) * lengths[kind] for kind, window in found.items()}
        reset_s = max(1, math.ceil(ends["steady"] - at))
        full = [ends[kind] for kind in found if left[kind] <= 0]
        if full:
            self.refused += 1
            wait_s = max(1, math.ceil(max(full) - at))
            return Taken(limit.steady, max(0, left["steady"]), reset_s, wait_s=wait_s)
        self._used.update(found.values())
        most = f"{account}/{name}"
        self._most[most] = max(self._most.get(most, 0), self._used[found["steady"]])
        return Taken(limit.steady, left["steady"] - 1, reset_s)

    def _window(
        self, account: str, name: str, kind: str, at: float, length_s: float
    ) -> tuple[str, str, str, int]:
        index = math.floor(at / length_s)
        newest = self._newest.get((account, name, kind), index)
        if index > newest:
            # A slow body may still belong to the window before, so that one is kept.
            for old in [key for key in self._used if key[:3] == (account, name, kind) and key[3] < newest]:
                del self._used[old]
        self._newest[(account, name, kind)] = max(index, newest)
        return (account, name, kind, index)

    def _spent(self, window: tuple[str, str, str, int], at: float, length_s: float) -> int:
        account, name, _, index = window
        stolen = 0.0
        for (whose, which), (rate, since) in self._steals.items():
            if whose in (account, "*") and which in (name, "*"):
                stolen += rate * max(0.0, at - max(since, index * length_s))
        return self._used[window] + math.floor(stolen)

    def as_json(self, config: SimConfig) -> dict[str, dict[str, int]]:
        """Return, per account and budget, the newest steady window's use, the fullest one's and the limit."""
        shown: dict[str, dict[str, int]] = {}
        for (account, name, kind), index in self._newest.items():
            if kind == "steady":
                used = self._used[(account, name, kind, index)]
                most = self._most.get(f"{account}/{name}", 0)
                limit = limit_of(name, config).steady
                shown[f"{account}/{name}"] = {"used": used, "most": most, "limit": limit}
        return shown
