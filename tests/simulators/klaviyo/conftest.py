"""A simulator on a free port for each test, with a clock that the test may set."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import TestClient, TestServer

from streams.simulators.klaviyo.config import SimConfig
from streams.simulators.klaviyo.server import make_app
from tests.simulators.klaviyo.sim import Clock, Sim


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def sim(clock: Clock) -> AsyncIterator[Sim]:
    config = SimConfig(keys={"pk_acme": "acme", "pk_acme_2": "acme", "pk_zen": "zen"})
    async with TestClient(TestServer(make_app(config, clock), host="127.0.0.1")) as client:
        yield Sim(client, clock)
