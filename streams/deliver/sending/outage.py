"""A lane that Klaviyo gives no verdict: told once that lasts, again now and then, and when it is over."""

from dataclasses import dataclass
from typing import Final

from streams.engine.telemetry import log

PATIENCE_S: Final = 60.0
"""Shorter ones pass by themselves, and nobody need know."""
EVERY_S: Final = 1800.0


@dataclass(slots=True)
class Outage:
    """Of one lane: since when no call had a verdict, and when that was told; by the desk's clock."""

    account: str
    lane: str
    since: float | None = None
    told: float | None = None

    def lasts(self, why: str, now: float) -> None:
        """One more call without a verdict."""
        self.since = now if self.since is None else self.since
        if now - self.since >= PATIENCE_S and (self.told is None or now - self.told >= EVERY_S):
            self.told = now
            seconds = round(now - self.since)
            log.warning("klaviyo_waits", account=self.account, lane=self.lane, why=why, seconds=seconds)

    def over(self, now: float) -> None:
        """Klaviyo gave one."""
        if self.told is not None and self.since is not None:
            seconds = round(now - self.since)
            log.info("klaviyo_answers", account=self.account, lane=self.lane, seconds=seconds)
        self.since = self.told = None
