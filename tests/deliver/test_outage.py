"""A lane that Klaviyo gives no verdict says so: its rows wait, and nothing else tells why."""

import logging

import pytest

from streams.deliver.sending import outage
from streams.deliver.sending.outage import EVERY_S, PATIENCE_S, Outage
from tests.deliver.line import FREE, Line, operation, simulator


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    names = ("klaviyo_waits", "klaviyo_answers")
    return [record.getMessage() for record in caplog.records if record.getMessage() in names]


def test_it_is_told_once_it_has_lasted_and_again_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "streams")
    lane = Outage("acme", "events")
    for at in (0.0, PATIENCE_S - 1, PATIENCE_S, PATIENCE_S + 1, PATIENCE_S + EVERY_S):
        lane.lasts("HTTP 503", at)
    assert told(caplog) == ["klaviyo_waits"] * 2
    assert caplog.records[0].__dict__["facts"] == {
        "account": "acme", "lane": "events", "why": "HTTP 503", "seconds": 60,
    }  # fmt: skip
    lane.over(PATIENCE_S + EVERY_S + 1)
    lane.over(PATIENCE_S + EVERY_S + 2)
    assert told(caplog)[2:] == ["klaviyo_answers"]


def test_one_that_passes_by_itself_is_told_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "streams")
    lane = Outage("acme", "events")
    for at in range(0, 10 * round(PATIENCE_S), 30):
        lane.lasts("HTTP 503", at)
        lane.over(at + 1)
    assert not told(caplog)


@pytest.mark.parametrize("status", [503, 429])
async def test_a_lane_tells_why_it_sends_nothing_and_when_it_does_again(
    status: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "streams")
    monkeypatch.setattr(outage, "PATIENCE_S", 0.0)
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        await sim.fault({"path": "/api/events"}, {"status": status})
        line.put(operation(1))
        async with line.life():
            assert await line.until(lambda: "klaviyo_waits" in told(caplog))
            await sim.heal()
            assert await line.until(line.all_ended)
    assert told(caplog) == ["klaviyo_waits", "klaviyo_answers"]
    (record,) = (record for record in caplog.records if record.getMessage() == "klaviyo_waits")
    assert str(status) in record.__dict__["facts"]["why"]
