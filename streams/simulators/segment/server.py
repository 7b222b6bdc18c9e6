"""The Segment simulator as a server."""

import time
from collections.abc import Callable

from aiohttp import web

from streams.simulators import surface
from streams.simulators.segment.config import SegmentConfig
from streams.simulators.segment.simulator import SegmentSimulator


def make_app(config: SegmentConfig, clock: Callable[[], float] = time.time) -> web.Application:
    """Return the simulator as an application; `clock` gives epoch seconds."""
    return surface.make_app(SegmentSimulator(config), clock)


async def serve(
    port: int = 0, config: SegmentConfig | None = None, ready: Callable[[str], None] = lambda _url: None
) -> None:
    """Listen on 127.0.0.1 (port 0: a free one), tell `ready` the URL, run until cancelled."""
    await surface.serve(make_app(config or SegmentConfig()), port, ready)
