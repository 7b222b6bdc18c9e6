"""``python -m tests.bench.reading_stage CONFIG RECORDS``: a stage that reads and does nothing but commit."""

import json
import os
import sys
import time
from pathlib import Path
from typing import ClassVar

import uvloop

from streams.config import load
from streams.engine.inbox import Batch
from streams.engine.outbox import Outbox
from streams.engine.slot import Slot
from streams.engine.stage import Context, run_batches
from streams.engine.worker import run


class Reading:
    """``segment.events`` → nothing. It has dedupe's name, so its changelog exists."""

    name: ClassVar[str] = "dedupe"
    inputs: ClassVar[tuple[str, ...]] = ("segment.events",)
    packed: ClassVar[bool] = True
    schemas: ClassVar[tuple[str, ...]] = ("segment.events",)

    def __init__(self, context: Context, records: int) -> None:
        self._registry = context.registry
        self._left = records
        self._first: tuple[float, int] | None = None

    async def run(self, slot: Slot) -> None:
        """Live one partition."""
        await run_batches(slot, self._registry, self.step)

    async def close(self) -> None:
        """Nothing is shared."""

    def step(self, batch: Batch, slot: Slot) -> Outbox | None:
        """Count, and commit the position."""
        if not batch.records:
            return None
        self._left -= len(batch.records)
        if self._first is None:
            self._first = time.monotonic(), self._left
        if self._left == 0:
            began, records = self._first
            print(json.dumps([time.monotonic() - began, records]), flush=True)
        outbox = Outbox()
        outbox.position(batch.topic, batch.records[-1].offset + 1)
        return outbox


if __name__ == "__main__":
    count = int(sys.argv[2])
    sys.exit(uvloop.run(run(load(Path(sys.argv[1]), os.environ), lambda context: Reading(context, count))))
