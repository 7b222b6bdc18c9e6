"""kill -9 of anything in the middle of traffic: nothing is lost, nothing is recorded twice."""

import pytest

from streams.local import stack as local
from streams.local.stack import Stack
from tests.whole.conftest import Start
from tests.whole.running import STAGES, Whole, eventually, traffic

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("whole")]


def _engaged(line: Whole, people: int) -> int:
    """Engagement of people whom Klaviyo has by now."""
    eventually(lambda: len(line.profiles()) >= people)
    return line.engage(people)


def _nothing_lost_or_doubled(line: Whole, accepted: int, engaged: int) -> None:
    eventually(lambda: line.audit(0)["engagement"]["in"] >= engaged)
    report = line.drained(90)

    assert report["accepted"] >= accepted
    assert report["delivered"] > 100
    assert len(line.forwarded()) == engaged
    line.every_operation_arrived()
    line.order_was_kept()


@pytest.mark.parametrize("victims", [STAGES, tuple(reversed(STAGES))], ids=["in order", "against it"])
def test_kill_9_of_each_stage_loses_and_doubles_nothing(line: Whole, victims: tuple[str, ...]) -> None:
    engaged = 0
    with line.sending(traffic(3_000), rate=250) as sending:
        for number, victim in enumerate(victims, start=1):
            sending.wait_for(number * 400)
            if number == 3:
                engaged = _engaged(line, 3)
            line.kill(victim)

    _nothing_lost_or_doubled(line, sending.counts.accepted, engaged)


def test_kill_9_of_the_gateway_loses_nothing_that_was_accepted(line: Whole) -> None:
    with line.sending(traffic(2_000), rate=300) as sending:
        for accepted in (300, 1_000):
            sending.wait_for(accepted)
            line.kill("gateway")

    assert sending.counts.retries > 0
    _nothing_lost_or_doubled(line, sending.counts.accepted, 0)


def test_kill_9_of_the_broker_loses_and_doubles_nothing(own_stack: Stack, start: Start) -> None:
    """While it is away the gateway answers 503; senders and stages go on when it is back."""
    line = start(on=own_stack)
    with line.sending(traffic(2_000), rate=200) as sending:
        sending.wait_for(700)
        local.kill_broker(own_stack.folder)
        local.start_broker(own_stack.folder, say=print)
    assert len(line.log.read_text().splitlines()) < 1_000, "an outage floods the log"

    _nothing_lost_or_doubled(line, sending.counts.accepted, 0)
