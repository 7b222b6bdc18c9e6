"""A slot's position is written often enough to outlive its changelog's retention; no broker here."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from time import time
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from streams.engine import changelog, slot
from streams.engine.errors import Away
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
    found._fence()
    found._restore()
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


async def test_a_gateway_whose_clock_is_ahead_moves_no_slots_clock_beyond_now(opened: Slot) -> None:
    waits: Any = SimpleNamespace(offset=9, timestamp=0, key=None, value=b"x")
    opened.inbox.arrive(INPUTS[0], [waits])
    outbox = Outbox()
    outbox.position(INPUTS[0], 8, int(time() * 1000) + 86_400_000)
    await opened.commit(outbox)
    assert opened.clock <= time() * 1000


async def test_what_waits_behind_a_transaction_that_failed_is_not_written(
    opened: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been worked out on what was never written: lanes of one slot read each other's changes."""
    written: list[Any] = []

    def write(records: Any) -> int:
        written.append(records)
        raise Away("the broker does not answer")

    monkeypatch.setattr(opened._transactions, "write", write)
    commits = [opened.commit(Outbox()), opened.commit(Outbox())]
    ends = await asyncio.gather(*commits, return_exceptions=True)

    assert [type(end) for end in ends] == [Away, Away]
    assert len(written) == 1


async def test_a_clock_that_was_looked_at_during_a_transaction_never_goes_back(
    opened: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was new when it began may be done when it ends, and the other way round."""
    looked: list[int] = []
    source: Any = opened._source
    empty = False
    monkeypatch.setattr(source, "empty", lambda *_: empty, raising=False)

    def write(records: Any) -> int:
        nonlocal empty
        empty = True
        looked.append(opened.clock)
        empty = False
        return 2

    monkeypatch.setattr(opened._transactions, "write", write)
    await opened.commit(Outbox())
    assert opened.clock >= looked[0] > 5


async def test_a_machine_whose_clock_was_ahead_leaves_no_slots_clock_there(opened: Slot) -> None:
    """All that is held would expire, and all marks of what was seen, for as long as it was ahead."""
    opened._clock = int(time() * 1000) + 86_400_000
    assert opened.clock <= time() * 1000
    opened._clock = int(time() * 1000) + 86_400_000
    await opened.commit(Outbox())
    assert opened._clock <= time() * 1000
