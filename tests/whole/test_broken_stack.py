"""kill -9 of the broker or the registry: what can go on goes on, and afterwards nothing is missing."""

import os
import signal

import pytest

from streams.local import stack as local
from streams.local.stack import Stack
from tests.line import eventually
from tests.whole.conftest import Start
from tests.whole.messages import traffic

pytestmark = pytest.mark.stack


def test_kill_9_of_the_broker_loses_and_doubles_nothing(own_stack: Stack, start: Start) -> None:
    """While it is away the gateway answers 503; senders and stages go on when it is back."""
    line = start(on=own_stack)
    with line.sending(traffic(2_000), rate=200) as sending:
        sending.wait_for(700)
        local.kill_broker(own_stack.folder)
        local.start_broker(own_stack.folder, say=print)
    assert len(line.log.read_text().splitlines()) < 1_000, "an outage floods the log"

    line.nothing_was_lost_or_doubled(sending.counts.accepted)


def test_the_line_goes_on_without_the_registry_and_a_starting_stage_waits_for_it(
    own_stack: Stack, start: Start
) -> None:
    line = start(on=own_stack)
    line.send(traffic(300, seed=1))
    line.idle()
    before = len(line.events())
    (registry,) = own_stack.pids["registry"]
    os.kill(registry, signal.SIGKILL)

    line.send(traffic(600, seed=2))
    eventually(lambda: len(line.events()) > before + 50)

    line.kill("identify")
    between = len(line.events())
    counts = line.send(traffic(600, seed=3))
    assert counts.accepted > 590
    local.up(own_stack.folder, say=print)

    line.drained()
    assert len(line.events()) > between
    line.every_operation_arrived()
