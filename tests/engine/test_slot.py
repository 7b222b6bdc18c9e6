"""A slot's position is written often enough to outlive its changelog's retention; no broker here."""

from collections.abc import Iterator
from pathlib import Path
from time import time
from typing import Any

import orjson
import pytest

from streams.engine import changelog, slot
from streams.engine.outbox import Outbox
from streams.engine.slot import FORMAT, Place, Slot
from streams.engine.store import Memory, Store

INPUTS = ("segment.events", "segment.events.backfill")


class Written:
    """Transactions that all succeed."""

    def __init__(self, *_: object) -> None:
        self.offset = 0

    def begin(self) -> None:
        """Nobody to fence."""

    def write(self, records: Any) -> int:
        self.offset += 2
        return self.offset

    def close(self) -> None:
        """Nothing to close."""


class Nothing:
    """A consumer that knows of no record."""

    def committed(self, *_: object) -> None:
        """For displays."""

    def empty(self, *_: object) -> bool:
        return True


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slot]:
    """A slot whose changelog's last word is a day and an hour old."""

    def restored(client: Any, topic: str, partition: int, store: Store, *_: object) -> int:
        state = {"positions": {INPUTS[0]: 7}, "clock": 5, "format": FORMAT, "partitions": 4}
        state["at"] = time() - 25 * 3600  # type: ignore[assignment]
        store.write([(changelog.POSITION_KEY, orjson.dumps(state))], 1)
        return 1

    monkeypatch.setattr(slot, "Transactions", Written)
    monkeypatch.setattr(slot, "restore", restored)
    source: Any = Nothing()
    found = Slot(Place("dedupe", INPUTS, "", True, 4, 4, {}, tmp_path, Memory()), 0, source)
    found._open()
    yield found
    found._close()


async def test_a_process_that_starts_each_day_still_writes_an_idle_position_again(opened: Slot) -> None:
    """What counts is when it was written, not when this process took over."""
    assert opened.forgetful
    await opened.commit(Outbox())
    assert not opened.forgetful
    assert opened.inbox.next == {INPUTS[0]: 7}


def test_an_idle_slots_clock_goes_on_without_a_commit(opened: Slot) -> None:
    before = int(time() * 1000)
    assert opened.clock >= before
