import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from streams.engine import lanes
from streams.engine.control import ControlTail, read_control
from streams.local.stack import Stack
from tests.line import Bench

pytestmark = pytest.mark.stack


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
