import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Producer

from streams.engine import lanes
from streams.engine.control import Control, ControlTail, read_control, write_control
from streams.engine.errors import Misconfigured
from streams.local.stack import Stack
from tests.line import Bench

pytestmark = pytest.mark.stack
PAUSED = Control("pause", "acme/events", reason="by hand")


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.01)


async def test_a_pause_and_its_end_reach_a_running_process_within_seconds(
    stack: Stack, prefix: str, tmp_path: Path
) -> None:
    config = Bench(stack, prefix, tmp_path).config
    async with ControlTail(config) as control, asyncio.timeout(20):
        assert control.paused("acme", "events") is None
        assert control.facts == read_control(config)
        await asyncio.to_thread(lanes.pause, config, ["acme/events"], "wrong metric")
        await until(lambda: control.paused("acme", "events") is not None)
        assert control.paused("acme", "events") == "wrong metric"
        assert control.paused("acme", "lists") is None
        await asyncio.to_thread(lanes.resume, config, ["acme/events"])
        await until(lambda: control.paused("acme", "events") is None)
    assert ("pause", "acme/events") not in read_control(config)


async def test_a_record_that_is_none_of_ours_hides_no_pause_behind_it(
    stack: Stack, prefix: str, tmp_path: Path
) -> None:
    """Else a process that runs would hear of no pause any more, and nobody of that."""
    config = Bench(stack, prefix, tmp_path).config
    async with ControlTail(config) as control, asyncio.timeout(20):
        producer = Producer(config.kafka.client())
        producer.produce(f"{prefix}control", b"{}", b"\xff/somebody")
        assert await asyncio.to_thread(producer.flush, 10) == 0
        await asyncio.to_thread(write_control, config, {("pause", "acme/events"): PAUSED})
        await until(lambda: control.paused("acme", "events") == "by hand")
    with pytest.raises(Misconfigured, match=r"control, offset .* not framed"):
        read_control(config)
