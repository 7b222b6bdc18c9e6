"""Which calls leave next, of a lane with more to do than it may send."""

from dataclasses import replace

import pytest

from streams.deliver.events import Events
from streams.deliver.sending.planner import Planner
from streams.engine.topics import twin
from streams.klaviyo.budgets import EVENT_BULK
from tests.deliver.fake_slot import LogRecord, codec
from tests.deliver.line import operation
from tests.deliver.test_flow import TOPIC, intake


@pytest.mark.parametrize("share", [0.05, 0.25])
def test_backfill_has_its_share_however_busy_live_is(share: float) -> None:
    found = intake()
    found.restore([TOPIC, twin(TOPIC)])
    encode = codec("operation").encode
    for at, topic in ((0, TOPIC), (1000, twin(TOPIC))):
        found.take(topic, [LogRecord(n, None, encode(operation(at + n))) for n in range(400)])
    desk = replace(found.desk, backfill_share=share)
    now = desk.clock()
    desk.spending.budget(EVENT_BULK).throttled(now, 1000)
    calls = Planner(desk, Events(), found.lane, lambda: "g").plan(now, 0, found.read).calls[:200]
    late = [call.group.rows[0].backfill for call in calls]
    assert len(late) == 200
    assert abs(sum(late) - 200 * share) <= 1
    assert not any(late[: int(1 / share) - 1])
