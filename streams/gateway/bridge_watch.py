"""What is seen of a bridge from outside: whether it crosses, how much, how far behind it is."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Final

from streams.engine.telemetry import counter, gauge

STUCK_S: Final = 60.0
"""A transaction's calls have time-outs of 10 s; beyond this one hangs, and ends only with the process."""
EVERY_S: Final = 1.0

_RECORDS = counter("streams_bridge_records", "Records of the foreign topic that crossed.")
_REFUSED = counter("streams_bridge_refused", "Of these, dead letters.")
_LAG = gauge("streams_bridge_lag_records", "Offsets behind the end of a partition that this process reads.")


class Watch:
    """Written by the thread that bridges, read by the one that answers."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._since: float | None = None
        self._told = 0.0
        self._lags: set[int] = set()
        self.joined = False
        """Whether the group has dealt and the brokers answer."""
        self.records = self.refused = 0

    @property
    def events(self) -> int:
        """Records that became events."""
        return self.records - self.refused

    @contextlib.contextmanager
    def over(self) -> Iterator[None]:
        """While a transaction is open."""
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._since = None

    @property
    def late(self) -> bool:
        """Whether the open transaction hangs."""
        since = self._since
        return since is not None and time.monotonic() - since > STUCK_S

    def crossed(self, records: int, refused: int) -> None:
        """Count what a transaction brought in."""
        self.records += records
        self.refused += refused
        _RECORDS.add(records, {"source": self._source})
        if refused:
            _REFUSED.add(refused, {"source": self._source})

    def due(self) -> bool:
        """Whether the lags should be told again."""
        return time.monotonic() - self._told > EVERY_S

    def behind(self, lags: Mapping[int, int]) -> None:
        """Tell the lag of each partition; one that went elsewhere lags by nothing here."""
        self._told = time.monotonic()
        for partition in self._lags - lags.keys():
            _LAG.set(0, {"source": self._source, "partition": partition})
        for partition, lag in lags.items():
            _LAG.set(lag, {"source": self._source, "partition": partition})
        self._lags = set(lags)
