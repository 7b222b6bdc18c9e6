"""Every event that was accepted is counted once, and the counts add up."""

import pytest

from tests.line import eventually
from tests.whole.messages import traffic
from tests.whole.running import Whole

pytestmark = pytest.mark.stack


def test_everything_answered_with_200_is_counted_and_the_sums_add_up(line: Whole) -> None:
    """First line's counts add up to accepted, engagement's to in; Klaviyo and Segment recorded each once."""
    counts = line.send(traffic(3_000))
    eventually(lambda: len(line.profiles()) >= 20)
    engaged = line.engage(20, times=2)
    eventually(lambda: line.look()["engagement"]["in"] == engaged)

    report = line.drained()

    assert counts.retries == 0
    assert counts.accepted == report["accepted"]
    assert report["delivered"] > 300
    assert report["engagement"]["forwarded"] == len(line.forwarded()) == engaged
    line.every_operation_arrived()
