"""Operations of a slot's own topics, read again by their offsets while something is looked for."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final, cast

from confluent_kafka import Message

from streams.deliver.desk import Desk
from streams.deliver.reading.pages import NotNow
from streams.deliver.row import Row
from streams.engine.errors import Away, Unreadable
from streams.engine.rereading import Rereader
from streams.engine.slot import Slot
from streams.engine.telemetry import log
from streams.klaviyo.operation import Operation

Learn = Callable[[Iterable[bytes]], None]
"""Gets the schemas that records were written with; blocks."""
CHUNK: Final = 500
AWAY_S: Final = 5.0
IDLE_S: Final = 60.0
"""The connection is let go after so long without work."""


class Rereads:
    """Opens a reader when it is needed."""

    def __init__(self, desk: Desk, slot: Slot, learn: Learn) -> None:
        self._desk = desk
        self._slot = slot
        self._learn = learn
        self._reader: Rereader | None = None
        self._used = 0.0

    async def read(self, wanted: dict[str, list[list[int]]], keep: Callable[[Row], None]) -> None:
        """Hand each operation of these runs of offsets over as a row, in another thread; those left of them.

        Raises:
            NotNow: Kafka or the registry does not answer. Sending goes on or not by itself, a look can wait.
        """
        self._reader = reader = self._reader or self._slot.rereader()
        self._used = self._desk.clock()
        try:
            await asyncio.to_thread(self._read, reader, wanted, keep)
        except Away as error:
            log.warning("readback_waits", account=self._desk.account, why=str(error))
            raise NotNow(AWAY_S) from error

    def _read(
        self, reader: Rereader, wanted: dict[str, list[list[int]]], keep: Callable[[Row], None]
    ) -> None:
        chunk: list[tuple[str, Message]] = []
        with contextlib.closing(reader.read(wanted)) as found:
            for one in found:
                chunk.append(one)
                if len(chunk) >= CHUNK:
                    self._keep(chunk, keep)
                    chunk = []
        self._keep(chunk, keep)

    def _keep(self, chunk: Sequence[tuple[str, Message]], keep: Callable[[Row], None]) -> None:
        self._learn(message.value() or b"" for _, message in chunk)
        for topic, message in chunk:
            value, offset = message.value() or b"", message.offset() or 0
            try:
                op = cast("Operation", self._desk.decode(value))
            except Unreadable:
                continue
            keep(Row(topic, offset, offset, op, value))

    async def rest(self) -> None:
        """Nothing to do: let the connection go by and by."""
        if self._reader is not None and self._desk.clock() - self._used > IDLE_S:
            await self.close()

    async def close(self) -> None:
        """Let the connection go now."""
        reader, self._reader = self._reader, None
        if reader is not None:
            await asyncio.to_thread(reader.close)
