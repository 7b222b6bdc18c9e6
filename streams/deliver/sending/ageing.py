"""Rows that wait so long that their topic would drop them: told of at half time, dead letters in time."""

from dataclasses import dataclass
from math import inf
from typing import Final

from streams.deliver.judge import chain, dead
from streams.deliver.profiles import jobs
from streams.deliver.row import Settled
from streams.deliver.sending import ending
from streams.deliver.sending.intake import Intake
from streams.deliver.sending.planner import Planner
from streams.engine.outbox import Outbox
from streams.engine.telemetry import gauge, log
from streams.engine.topics import DAY_MS
from streams.ledger.ageing import ALARM_MS, END_MS, KEPT_MS, TOLD_AGAIN_MS, WAITED
from streams.ledger.reasons import Reason

LOOK_S: Final = 60.0
MOST: Final = 1000
"""Rows in one transaction."""
_OLDEST: Final = gauge("streams_deliver_lane_age_seconds", "how long the oldest row of a lane waits")


@dataclass(slots=True)
class Ageing:
    """One lane's. Mutable."""

    intake: Intake
    planner: Planner
    _look_at: float = -inf
    _told_at: float = -inf

    def ended(self, outbox: Outbox) -> list[Settled]:
        """Rows that can wait no longer, whether the lane is paused, stopped or in an outage."""
        desk, lane, family = self.intake.desk, self.intake.lane, self.intake.family
        now, now_ms = desk.clock(), desk.now_ms()
        if now < self._look_at:
            return []
        lane.waiting(now)
        came = lane.oldest(self.planner.ready)
        self._look_at = now if came is None else now + LOOK_S
        age_ms = 0 if came is None else now_ms - came
        _OLDEST.set(age_ms / 1000, {"account": desk.account, "lane": family.name})
        self._tell(now, age_ms)
        if age_ms < END_MS:
            return []
        for group in self.planner.dissolve(now_ms - END_MS):
            ending.dissolved(outbox, self.intake, group.id, chain(group))
            if group.job is not None:
                outbox.delete(jobs.key(family.name, group.job))
        rows = lane.aged(now_ms - END_MS, MOST)
        if rows:
            self._look_at = now  # what is read in their place may be as old
        return [dead(row, Reason.RETENTION, WAITED) for row in rows]

    def _tell(self, now: float, age_ms: int) -> None:
        if age_ms >= ALARM_MS and now >= self._told_at + TOLD_AGAIN_MS / 1000:
            self._told_at = now
            desk, days = self.intake.desk, age_ms // DAY_MS
            lane, kept = self.intake.family.name, KEPT_MS // DAY_MS
            log.error("lane_old", account=desk.account, lane=lane, days=days, kept_days=kept)
