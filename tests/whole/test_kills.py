"""kill -9 of anything in the middle of traffic: nothing is lost, nothing is recorded twice."""

import pytest

from streams.local import stack as local
from streams.local.stack import Stack
from tests.line import eventually
from tests.whole.conftest import Start
from tests.whole.messages import traffic
from tests.whole.running import STAGES, Whole

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("whole")]


def _engaged(line: Whole, people: int) -> int:
    """Engagement of people whom Klaviyo has by now."""
    eventually(lambda: len(line.profiles()) >= people)
    return line.engage(people)


def _nothing_lost_or_doubled(line: Whole, accepted: int, engaged: int) -> None:
    eventually(lambda: line.look()["engagement"]["in"] >= engaged)
    report = line.drained(90)

    assert report["accepted"] >= accepted
    assert report["delivered"] > 100
    assert len(line.forwarded()) == engaged
    line.every_operation_arrived()
    line.order_was_kept()


def test_kill_9_of_each_part_in_order_and_against_it_loses_and_doubles_nothing(line: Whole) -> None:
    """While the gateway is away senders try again: what it accepted before is not lost."""
    engaged = 0
    with line.sending(traffic(4_500), rate=250) as sending:
        for number, victim in enumerate(("gateway", *STAGES, *reversed(STAGES), "gateway"), start=1):
            sending.wait_for(number * 350)
            if number in (4, 9):
                engaged += _engaged(line, 3)
            line.kill(victim)

    assert sending.counts.retries > 0
    _nothing_lost_or_doubled(line, sending.counts.accepted, engaged)


def test_kill_9_of_the_broker_loses_and_doubles_nothing(own_stack: Stack, start: Start) -> None:
    """While it is away the gateway answers 503; senders and stages go on when it is back."""
    line = start(on=own_stack)
    with line.sending(traffic(2_000), rate=200) as sending:
        sending.wait_for(700)
        local.kill_broker(own_stack.folder)
        local.start_broker(own_stack.folder, say=print)
    assert len(line.log.read_text().splitlines()) < 1_000, "an outage floods the log"

    _nothing_lost_or_doubled(line, sending.counts.accepted, 0)
