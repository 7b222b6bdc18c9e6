"""What a stage is to the engine, and what the engine gives it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

from streams.config import Config
from streams.engine.codec import Unlearned
from streams.engine.control import ControlTail
from streams.engine.inbox import Batch
from streams.engine.outbox import Outbox
from streams.engine.registry import Registry
from streams.engine.slot import Slot
from streams.engine.slots import Slots


@dataclass(frozen=True, slots=True)
class Context:
    """What every stage works with."""

    config: Config
    registry: Registry
    slots: Slots
    control: ControlTail


Step = Callable[[Batch, Slot], Outbox | None]


class Stage(Protocol):
    """One room's agent: it lives each slot that this process owns, from its assignment to its revocation."""

    name: ClassVar[str]
    inputs: ClassVar[tuple[str, ...]]
    packed: ClassVar[bool]
    """The changelog's form: packed where state only ages, keyed otherwise."""
    schemas: ClassVar[tuple[str, ...]]
    """Topics whose schemas it writes with."""

    def __init__(self, context: Context) -> None: ...

    async def run(self, slot: Slot) -> None:
        """Take batches and commit outboxes until the slot's batches end."""

    async def close(self) -> None:
        """Let go of what is shared by the slots."""


async def _learned(step: Step, batch: Batch, slot: Slot, registry: Registry) -> Outbox | None:
    """The step's answer, once it knows every schema: records hold others, and so does the state."""
    while True:
        try:
            return step(batch, slot)
        except Unlearned as unlearned:
            await registry.learn([unlearned.frame])


async def run_batches(slot: Slot, registry: Registry, step: Step) -> None:
    """The life of a slot whose step needs nothing from outside: batch in, one transaction out.

    A batch that arrives while the transaction before it is under way is worked out meanwhile: what that one
    changes is read by key already. If it fails the slot ends, and what was worked out on top of it is gone.

    Args:
        slot: an open slot.
        registry: learns the schema ids that come up.
        step: what one batch, or a tick, turns into; None where nothing changes. It may be asked twice.
    """
    writing: asyncio.Task[None] | None = None
    try:
        async for batch in slot.batches():
            await registry.learn(record.value for record in batch.records)
            if writing is not None and not batch.records:
                await writing  # a tick scans, and sees only what is written
            outbox = await _learned(step, batch, slot, registry)
            if writing is not None:
                await writing
                writing = None
            if outbox is not None and not batch.records:
                slot.inbox.tick_again()
            if outbox is None and slot.forgetful:
                outbox = Outbox()
            if outbox is not None:
                writing = asyncio.create_task(slot.commit(outbox))
                await slot.inbox.arrival(unless=writing)
                if writing.done():
                    await writing
                    writing = None
    finally:
        if writing is not None:
            await writing
