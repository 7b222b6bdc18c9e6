"""What is too old is forgotten, what stays open is told of."""

import logging
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest

from streams.deliver import notices
from streams.deliver.newcomers import DAY_MS, Newcomers
from streams.deliver.profiles import conflicts, jobs
from streams.deliver.profiles.importing import Import, waited
from streams.deliver.sending.intake import Intake
from streams.deliver.sending.upkeep import KEPT_MS, LATE_MS, TOLD_AGAIN_MS, Upkeep
from streams.engine import telemetry
from streams.engine.outbox import Outbox
from tests.deliver.fake_slot import FakeSlot, World
from tests.deliver.test_admin import person

NOW = 1_800_000_000_000


class Clock:
    ms = NOW

    def wall(self) -> float:
        return self.ms / 1000

    def now_ms(self) -> int:
        return self.ms

    account = "acme"
    new_profiles_per_day: int | None = None

    def __init__(self) -> None:
        self.newcomers = Newcomers()


def made(store: dict[bytes, bytes]) -> tuple[Upkeep, Clock]:
    clock = Clock()
    intake = SimpleNamespace(
        desk=clock, slot=FakeSlot(World(store=store)), family=SimpleNamespace(name="events")
    )
    return Upkeep(cast("Intake", intake)), clock


def rounds(upkeep: Upkeep, clock: Clock) -> dict[bytes, bytes | None]:
    """All that goes in one time round."""
    gone: dict[bytes, bytes | None] = {}
    for _ in range(1 << 12):
        outbox = Outbox()
        upkeep.turn(outbox)
        gone |= outbox.changes
        clock.ms += 5000
    return gone


def test_redirects_and_directions_of_merges_go_after_ninety_days_and_pasts_stay() -> None:
    into: Any = person(1)
    ids = [f"{n:03x}" + "0" * 29 for n in range(0, 4096, 512)]
    store: dict[bytes, bytes] = {}
    for n, loser in enumerate(ids):
        at = NOW - KEPT_MS + (-1 if n % 2 else 10**9)
        store |= notices.merged("winner", loser, into, at, store.get)
        store[conflicts.pair_key("A", loser)] = conflicts.pair_form("A", at)
    gone = rounds(*made(store))
    old = ids[1::2]
    assert set(gone) == {notices.redirect_key(loser) for loser in old} | {
        conflicts.pair_key("A", loser) for loser in old
    }
    assert set(gone.values()) == {None}
    assert set(notices.absorbed("winner", store.get)) == set(ids)


def test_a_job_that_does_not_end_is_told_of_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "streams")
    telemetry.collect()
    store = {
        jobs.key("profiles", "J1"): jobs.form([], [], NOW),
        jobs.key("profiles", "J2"): jobs.form([], [], NOW),
    }
    upkeep, clock = made(store)

    def told(after_ms: int) -> int:
        caplog.clear()
        clock.ms = NOW + after_ms
        upkeep.turn(Outbox())
        return sum(record.message == "import_job_late" for record in caplog.records)

    assert [told(LATE_MS - 1), told(LATE_MS), told(LATE_MS + 5000)] == [0, 2, 0]
    text = telemetry.metrics_text()
    assert 'streams_deliver_import_jobs_open{account="acme"} 2' in text
    assert 'streams_deliver_import_job_age_seconds{account="acme"} 1805.0' in text
    del store[jobs.key("profiles", "J2")]
    assert told(LATE_MS + TOLD_AGAIN_MS) == 1
    del store[jobs.key("profiles", "J1")]
    assert told(LATE_MS + TOLD_AGAIN_MS + 1) == 0
    assert 'streams_deliver_import_job_age_seconds{account="acme"} 0' in telemetry.metrics_text()


def test_a_job_is_looked_at_ever_more_seldom_and_never_forgotten() -> None:
    at, now, waits = Import(NOW, []), float(NOW), []
    for _ in range(400):
        learned = waited(at, int(now))
        assert learned.stay
        waits.append(learned.wait_s)
        now += learned.wait_s * 1000
    assert waits == sorted(waits)
    assert waits[0] == 0.25
    assert waits[-1] == 600.0
    assert sum(wait <= 30 for wait in waits) < 30


def test_an_old_job_of_a_former_life_is_not_asked_as_often_as_a_new_one() -> None:
    assert waited(Import(NOW - 3_600_000, [], looks=9), NOW).wait_s == 128.0
    assert orjson.loads(jobs.form([], [], 7))["at"] == 7


def test_too_many_new_profiles_are_told_of_once_a_day(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "streams")
    telemetry.collect()
    upkeep, clock = made({})
    clock.new_profiles_per_day = 10

    def told() -> int:
        caplog.clear()
        upkeep.turn(Outbox())
        return sum(record.message == "new_profiles" for record in caplog.records)

    clock.newcomers.count("profiles", clock.ms, created=8, unsaid=2)
    assert told() == 0
    clock.newcomers.count("lists", clock.ms, created=1)
    assert [told(), told()] == [1, 0]
    text = telemetry.metrics_text()
    assert 'streams_deliver_new_profiles_today{account="acme",said="created"} 9' in text
    restarted = Newcomers()
    state = {**clock.newcomers.unsaved("profiles", clock.ms), **clock.newcomers.unsaved("lists", clock.ms)}
    restarted.restore({**state, **clock.newcomers.unsaved("events", clock.ms)}.items())  # type: ignore[arg-type]
    assert restarted.of_day(clock.ms).most == 11
    assert not restarted.over(10, "events", clock.ms)
    clock.ms += DAY_MS
    assert told() == 0
    clock.newcomers.count("lists", clock.ms, created=11)
    assert told() == 1
    gone = clock.newcomers.unsaved("lists", clock.ms + 40 * DAY_MS)
    assert set(state) < set(gone)
    assert all(gone[key] is None for key in state)
