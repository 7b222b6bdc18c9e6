"""Calls that block, from a loop that must stay able to end."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

from streams.engine.errors import Away
from streams.engine.telemetry import log

T = TypeVar("T")
AGAIN_S: Final = 1.0
TOLD_EVERY_S: Final = 30.0


async def apart(function: Callable[[], T]) -> T:
    """Run what blocks in a thread that nobody waits for when the process ends."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(set_: Callable[[Any], None], value: object) -> None:
        if not future.done():
            set_(value)

    def work() -> None:
        try:
            outcome: tuple[Callable[[Any], None], object] = (future.set_result, function())
        except BaseException as error:  # a panic of Rust's is no Exception, and somebody waits
            outcome = (future.set_exception, error)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            loop.call_soon_threadsafe(settle, *outcome)

    threading.Thread(target=work, daemon=True).start()
    return await future


async def patiently(function: Callable[[], T]) -> T:
    """Run what blocks, again every second for as long as what it needs is away."""
    told, told_at = "", 0.0
    while True:
        try:
            return await apart(function)
        except Away as away:
            now = asyncio.get_running_loop().time()
            if str(away) != told or now - told_at >= TOLD_EVERY_S:
                told, told_at = str(away), now
                log.warning("waiting", why=away)
            await asyncio.sleep(AGAIN_S)
