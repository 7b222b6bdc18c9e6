"""kill -9 of anything in the middle of traffic: nothing is lost, nothing is recorded twice."""

import pytest

from tests.line import eventually
from tests.whole.messages import traffic
from tests.whole.running import STAGES, Whole

pytestmark = pytest.mark.stack


def _engaged(line: Whole, people: int) -> int:
    """Engagement of people whom Klaviyo has by now."""
    eventually(lambda: len(line.profiles()) >= people)
    return line.engage(people)


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
    line.nothing_was_lost_or_doubled(sending.counts.accepted, engaged)
