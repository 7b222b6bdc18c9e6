"""The line's own broker and registry, watched: told of when they are gone, and started again."""

import asyncio
from typing import Final, Protocol

from streams.engine.telemetry import log
from streams.local import stack
from streams.local.fetch import StackUnavailable

EVERY_S: Final = 3.0


class Watched(Protocol):
    """What runs on a stack; ``owns_stack``: it started it, and nobody else stops it."""

    stack: stack.Stack
    owns_stack: bool

    def write_ready(self) -> None:
        """Tell the new process ids."""


async def watch(line: Watched) -> None:
    """Look every few seconds, until cancelled. A stack that somebody else started is only told of."""
    away = False
    while True:
        await asyncio.sleep(EVERY_S)
        found, says = await asyncio.to_thread(stack.status, line.stack.folder)
        if found is not None:
            if away:
                log.info("stack_back", says=says)
            away = False
        elif line.owns_stack:
            log.error("stack_away", says=f"{says}: starting it again")
            await _start(line)
        elif not away:
            log.error("stack_away", says=f"{says}: start it again by `streams stack up`")
            away = True


async def _start(line: Watched) -> None:
    starting = asyncio.create_task(asyncio.to_thread(stack.up, line.stack.folder, say=_say))
    try:
        found = await asyncio.shield(starting)
    except asyncio.CancelledError:  # whoever stops the stack then must find all of it
        await asyncio.gather(starting, return_exceptions=True)
        raise
    except StackUnavailable as why:
        log.error("stack_away", says=str(why))
        return
    if (found.kafka, found.registry) != (line.stack.kafka, line.stack.registry):
        log.error("stack_away", says="another program took a port of it meanwhile: start `streams dev` again")
        return
    line.stack = found
    line.write_ready()
    log.info("stack_back", says=f"Kafka {found.kafka}, registry {found.registry}")


def _say(text: str) -> None:
    log.info("stack", says=text.removeprefix("stack: "))
