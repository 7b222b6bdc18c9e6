"""A lane that stands for as long as its topic keeps what waits: it is told, and nothing is dropped unread."""

import logging
from time import time
from typing import Any

import pytest

from streams.deliver.events import Events
from streams.deliver.row import Group
from streams.deliver.sending import ageing
from streams.deliver.sending.ageing import MOST, Ageing
from streams.deliver.sending.planner import Planner
from streams.engine import telemetry
from streams.engine.outbox import Outbox
from streams.engine.topics import DAY_MS
from streams.ledger.ageing import ALARM_MS, END_MS, KEPT_MS
from tests.deliver.fake_slot import LogRecord, codec
from tests.deliver.line import FREE, Line, operation, simulator
from tests.deliver.test_conflicts import update
from tests.deliver.test_consent import consent, say
from tests.deliver.test_flow import TOPIC, intake
from tests.deliver.test_importing import paced

OLD = END_MS + 60_000


def came(line: Line, age_ms: int, *operations: dict[str, Any], topic: str = TOPIC) -> None:
    """Operations that came into their lane so long ago."""
    log = line.world.topics.setdefault(topic, [])
    for op in operations:
        at = int(time() * 1000) - age_ms
        log.append(LogRecord(len(log), None, codec("operation").encode(op), at))


async def test_before_its_topic_drops_it_a_row_is_a_dead_letter_and_what_is_younger_waits_on() -> None:
    async with simulator() as sim:
        line = Line(sim.url, pauses={"events": "wrong metric"})
        many = MOST + 200
        came(line, OLD, *(operation(n, n % 700) for n in range(many)))
        came(line, END_MS - DAY_MS, *(operation(n, n) for n in range(many, many + 5)))
        async with line.life():
            assert await line.until(lambda: len(line.world.dead_letters) == many)
            assert not await sim.requests("/api/event")
            line.pauses.clear()
            assert await line.until(line.all_ended)
        assert {letter["reason"] for letter in line.world.dead_letters} == {"retention"}
        assert "34 of the 35 days" in line.world.dead_letters[0]["detail"]
        assert {event["unique_id"] for event in await sim.events()} == {
            operation(n)["op_id"] for n in range(many, many + 5)
        }


def row_again(age_ms: int) -> tuple[Ageing, Group]:
    """A group that failed and waits for its next try, as in an outage."""
    found = intake()
    value = codec("operation").encode(operation(1))
    found.take(TOPIC, [LogRecord(0, None, value, found.desk.now_ms() - age_ms)])
    group = Group("g", found.lane.take(1, 10_000, 1), bulk=False)
    found.lane.again(group, found.desk.clock() + 30)
    return Ageing(found, Planner(found.desk, Events(), found.lane, str)), group


def test_what_waits_for_its_next_try_is_no_exception() -> None:
    ageing, group = row_again(OLD)
    outbox = Outbox()
    (end,) = ageing.ended(outbox)
    assert (end.row, end.reason) == (group.rows[0], "retention")
    assert outbox.changes == {b"i/events/g": None}
    assert ageing.ended(Outbox()) == []


def test_it_is_told_of_at_half_of_the_time(caplog: pytest.LogCaptureFixture) -> None:
    assert ALARM_MS == KEPT_MS // 2 == 35 * DAY_MS // 2
    caplog.set_level(logging.ERROR, "streams")
    telemetry.collect()
    for age_ms in (ALARM_MS - 60_000, ALARM_MS + 60_000):
        ageing, _ = row_again(age_ms)
        assert ageing.ended(Outbox()) == []
        assert any(record.message == "lane_old" for record in caplog.records) == (age_ms > ALARM_MS)
    age = 'streams_deliver_lane_age_seconds{account="acme",lane="events"} '
    assert float(telemetry.metrics_text().partition(age)[2].split()[0]) >= ALARM_MS / 1000


async def test_a_job_that_never_ends_keeps_no_row_beyond_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with simulator(budgets=FREE, job_delay_s=1e9) as sim:
        line = paced(sim.url)
        old = [update(n, n, first_name="A") for n in range(200)]
        came(line, END_MS - 600_000, *old, topic="klaviyo.profiles")
        async with line.life():
            assert await line.until(lambda: any(key.startswith(b"j/") for key in line.world.store), 60)
        for n, record in enumerate(line.world.topics["klaviyo.profiles"]):
            line.world.topics["klaviyo.profiles"][n] = record._replace(timestamp=record.timestamp - DAY_MS)
        line.put(update(900, 900, first_name="New"))
        monkeypatch.setattr(ageing, "LOOK_S", 0.05)
        await line.drain(60)
        assert {letter["reason"] for letter in line.world.dead_letters} == {"retention"}
        assert not [key for key in line.world.store if key[:2] in (b"i/", b"j/")]
        assert line.world.last()[update(900, 900)["op_id"]] == ("delivered", "accepted")


async def test_a_no_that_was_never_told_counts_all_the_same() -> None:
    async with simulator() as sim:
        line = Line(sim.url, pauses={"consent": "until it is too late"})
        at = int(time() * 1000) - OLD
        came(line, OLD, say(1, 1, "unsubscribe", time=at), topic="klaviyo.consent")
        async with line.life():
            assert await line.until(lambda: bool(line.world.dead_letters))
            line.pauses.clear()
            line.put(say(2, 1, time=at - 1000))
            assert await line.until(line.all_ended)
        assert line.world.last()[say(2, 1)["op_id"]] == ("refused", "consent")
        assert "SUBSCRIBED" not in (await consent(sim)).values()
