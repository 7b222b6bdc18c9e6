"""How the line is run: side by side, paused by hand, stopped."""

import signal
import time
from pathlib import Path

import pytest

from tests.line import eventually
from tests.whole.conftest import Start
from tests.whole.messages import message, traffic
from tests.whole.running import Whole

pytestmark = pytest.mark.stack


def test_two_lines_with_different_prefixes_on_one_broker_do_not_see_each_other_and_end_well(
    start: Start,
) -> None:
    """Ctrl-C or SIGTERM in the middle of traffic: exit code 0 within ten seconds, no process left."""
    first, second = start(), start()
    counts = [first.send(traffic(600, seed=1)), second.send(traffic(400, seed=2))]

    reports = [first.drained(), second.drained()]

    assert [each.accepted for each in counts] == [each["accepted"] for each in reports]
    ids = [{event["unique_id"] for event in each.events()} for each in (first, second)]
    assert ids[0]
    assert ids[1]
    assert not ids[0] & ids[1]
    first.every_operation_arrived()
    second.every_operation_arrived()
    for line, number in ((first, signal.SIGINT), (second, signal.SIGTERM)):
        line.send(traffic(1_000, seed=3))
        _ends_well(line, number)


def _ends_well(line: Whole, number: signal.Signals) -> None:
    pids = [pid for part in line.ready["pids"].values() for pid in part]
    assert len(pids) == 8

    code, seconds = line.stop(number)

    assert code == 0
    assert seconds < 10
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
    assert "child_killed" not in line.log.read_text()


def _sent(line: Whole) -> int:
    return sum(request["path"].startswith("/api/event") for request in line.requests())


def test_a_paused_lane_sends_nothing_within_two_seconds_keeps_all_and_goes_on_when_resumed(
    line: Whole,
) -> None:
    orders = [
        message("track", n, userId=f"u{n % 50}", event="Order Completed", properties={"n": n})
        for n in range(1_500)
    ]
    with line.sending(orders, rate=100):
        eventually(lambda: _sent(line) > 10)
        paused = line.run("lanes", "pause", "acme/events", "--reason", "wrong metric")
        assert paused.code == 0, paused
        stopped = time.monotonic() + 2
        eventually(lambda: time.monotonic() > stopped)
        before = _sent(line)
        row = eventually(lambda: (found := line.lanes()["acme/events"])["lag"] > 100 and found)
        assert (row["paused"], row["reason"]) == (True, "wrong metric")
        assert line.audit(0)["in_flight"] >= row["lag"]
        assert _sent(line) == before
        assert line.lanes()["acme/profiles"]["paused"] is False

        resumed = line.run("lanes", "resume", "acme/events")
        assert resumed.code == 0, resumed

    assert line.drained()["delivered"] == len(orders)
    assert line.lanes()["acme/events"]["lag"] == 0
    line.every_operation_arrived()
    line.order_was_kept()
