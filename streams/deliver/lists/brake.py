"""The hand on the brake: a pause written where every process sees it, and the watch for its end."""

import asyncio
from collections.abc import Callable

from streams.config import Config
from streams.deliver.lists.guard import Brake
from streams.engine import lanes
from streams.engine.control import now_ms
from streams.engine.errors import Away
from streams.engine.telemetry import log

LOOK_S = 0.25
AGAIN_S = 5.0
"""How long to wait when the pause could not be written."""


class LaneBrake(Brake):
    """One lane's brake. A pause that was there before, for the same reason, is watched, too."""

    def __init__(self, config: Config, account: str, lane: str, paused: Callable[[], str | None]) -> None:
        self._config = config
        self._name = f"{account}/{lane}"
        self._paused = paused
        self._watch: asyncio.Task[None] | None = None
        self._released: int | None = None
        if (paused() or "").startswith(lanes.GUARD):
            self._watch = asyncio.create_task(self._until_resumed())

    def pull(self, why: str) -> None:
        """Pause the lane and ask; while it is being written the lane's rows are held."""
        if self._watch is None or self._watch.done():
            log.error("lane_guarded", lane=self._name, why=why)
            self._watch = asyncio.create_task(self._pause(why))

    def released_at(self) -> int | None:
        """When the lane was last let go on (ms)."""
        return self._released

    async def close(self) -> None:
        """Watch no longer."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)

    async def _pause(self, why: str) -> None:
        while True:
            try:
                await asyncio.to_thread(lanes.pause, self._config, [self._name], why)
                break
            except Away as error:
                log.warning("guard_cannot_pause", lane=self._name, why=str(error))
                await asyncio.sleep(AGAIN_S)
        await self._until(paused=True)
        await self._until_resumed()

    async def _until_resumed(self) -> None:
        await self._until(paused=False)
        self._released = now_ms()
        log.info("lane_let_go_on", lane=self._name)

    async def _until(self, *, paused: bool) -> None:
        while (self._paused() is not None) != paused:  # noqa: ASYNC110 - a tail of a topic rings no bell
            await asyncio.sleep(LOOK_S)
