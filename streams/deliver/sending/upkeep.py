"""What is done for an account now and then: forget what nobody can ask for any more, watch what stays open.

Redirects (``r/``) are needed as long as operations with the merged profile's id can arrive. These come out of
topics only: 14 days in ``profile.events``, then 35 in a lane, paused or not; a replay or redrive goes through
identify and names the profile of today. The directions of merges (``p/``) are needed until the source is gone
at Klaviyo, which takes minutes. Both are kept 90 days. Who was merged into whom (``w/``) stays: what is known
of the winner is read by it, and there is one for each winner only.
"""

from dataclasses import dataclass, field
from typing import Final

import orjson

from streams.deliver.notices import REDIRECTS
from streams.deliver.profiles import jobs
from streams.deliver.profiles.conflicts import PAIRS
from streams.deliver.sending import ending
from streams.deliver.sending.intake import Intake
from streams.engine.outbox import Outbox
from streams.engine.telemetry import gauge, log

KEPT_MS: Final = 90 * 86_400_000
LATE_MS: Final = 30 * 60_000
"""An import job that is open for so long is told of; most are over in minutes."""
TOLD_AGAIN_MS: Final = 6 * 3_600_000
_SHARDS: Final = 1 << 12
_TURN_S: Final = 5
_OLDEST: Final = gauge(
    "streams_deliver_import_job_age_seconds", "age of the oldest import job that Klaviyo has not ended"
)
_OPEN: Final = gauge("streams_deliver_import_jobs_open", "import jobs that Klaviyo has not ended")
_TODAY: Final = gauge(
    "streams_deliver_new_profiles_today", "profiles new at Klaviyo this UTC day, by whether it said so"
)


@dataclass(slots=True)
class Upkeep:
    """One an account, in the lane that is told of ticks. Mutable."""

    intake: Intake
    _told: dict[str, int] = field(default_factory=dict)
    """Late job → when it was told of."""

    def turn(self, outbox: Outbox) -> None:
        """Every five seconds: a part of what is old goes, in 6 hours all of it."""
        ending.forget_sent(outbox, self.intake)
        shard = f"{int(self.intake.desk.wall() / _TURN_S) % _SHARDS:03x}".encode()
        for prefix in (REDIRECTS, PAIRS):
            self._forget(outbox, prefix + shard)
        self._watch_jobs()
        self._watch_newcomers()

    def _forget(self, outbox: Outbox, prefix: bytes) -> None:
        oldest = self.intake.desk.now_ms() - KEPT_MS
        for key, value in self.intake.slot.store.scan(prefix):
            if int(orjson.loads(value)["at"]) < oldest:
                outbox.delete(key)

    def _watch_jobs(self) -> None:
        """A job is never forgotten; one that does not end is told of: its rows wait for it."""
        desk = self.intake.desk
        now = desk.now_ms()
        found = jobs.began(self.intake.slot.store.scan(jobs.ALL))
        ages = {job: now - at for job, at in found.items()}
        labels = {"account": desk.account}
        _OPEN.set(len(ages), labels)
        _OLDEST.set(max(0, *ages.values()) / 1000 if ages else 0.0, labels)
        self._told = {job: at for job, at in self._told.items() if job in ages}
        for job, age in ages.items():
            if age >= LATE_MS and now - self._told.get(job, -TOLD_AGAIN_MS) >= TOLD_AGAIN_MS:
                self._told[job] = now
                log.error("import_job_late", account=desk.account, job=job, minutes=age // 60_000)

    def _watch_newcomers(self) -> None:
        desk = self.intake.desk
        now, threshold = desk.now_ms(), desk.new_profiles_per_day
        new = desk.newcomers.of_day(now)
        for said, number in (("created", new.created), ("unsaid", new.unsaid)):
            _TODAY.set(number, {"account": desk.account, "said": said})
        if desk.newcomers.over(threshold, self.intake.family.name, now):
            facts = {"created": new.created, "unsaid": new.unsaid, "threshold": threshold}
            log.error("new_profiles", account=desk.account, **facts)
