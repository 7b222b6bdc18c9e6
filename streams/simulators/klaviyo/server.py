"""The Klaviyo simulator as a server, and the sender of its webhooks."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Callable

import aiohttp
from aiohttp import web

from streams.simulators import surface
from streams.simulators.klaviyo.config import SimConfig
from streams.simulators.klaviyo.simulator import KlaviyoSimulator
from streams.simulators.klaviyo.webhooks import Delivery

_ANSWER_WITHIN = aiohttp.ClientTimeout(total=5)
"""Klaviyo wants an answer to a webhook within five seconds."""


class WebhookSender:
    """Sends webhook calls in the background; one that fails is tried again, ever later."""

    def __init__(self, config: Callable[[], SimConfig]) -> None:
        self._config = config
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self.delivered = 0
        self.failed = 0

    def send(self, delivery: Delivery) -> None:
        """Start one call; it ends delivered, or counted as failed."""
        task = asyncio.get_running_loop().create_task(self._deliver(delivery))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, delivery: Delivery) -> None:
        config = self._config()
        for attempt in range(config.webhook_attempts):
            if attempt:
                await asyncio.sleep(config.webhook_retry_s * 2 ** (attempt - 1))
            if await self._post(delivery):
                self.delivered += delivery.n
                return
        self.failed += delivery.n

    async def _post(self, delivery: Delivery) -> bool:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=_ANSWER_WITHIN)
        try:
            async with self._session.post(
                delivery.url, data=io.BytesIO(delivery.body), headers=delivery.headers
            ) as reply:
                return reply.status in (200, 201, 202)
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def close(self) -> None:
        """Stop trying."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()


def make_app(config: SimConfig, clock: Callable[[], float] = time.time) -> web.Application:
    """Return the simulator as an application; `clock` gives epoch seconds."""
    sender = WebhookSender(lambda: simulator.config)
    simulator = KlaviyoSimulator(config, sender.send, clock)
    simulator.webhook_counts = lambda: {"delivered": sender.delivered, "failed": sender.failed}
    app = surface.make_app(simulator, clock)

    async def webhooks(_app: web.Application) -> AsyncIterator[None]:
        yield
        await sender.close()

    app.cleanup_ctx.append(webhooks)
    return app


async def serve(
    port: int = 0, config: SimConfig | None = None, ready: Callable[[str], None] = lambda _url: None
) -> None:
    """Listen on 127.0.0.1 (port 0: a free one), tell `ready` the URL, run until cancelled."""
    await surface.serve(make_app(config or SimConfig()), port, ready)
