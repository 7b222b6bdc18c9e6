"""When a store is as far as its changelog."""

from pathlib import Path
from time import time
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, TopicPartition

from streams.engine.restore import _catch_up
from streams.engine.store import Memory, Store


def record(offset: int) -> Any:
    return SimpleNamespace(
        error=lambda: None, key=lambda: b"%d" % offset, value=lambda: b"v", offset=lambda: offset
    )


def ended(offset: int) -> Any:
    error = KafkaError(KafkaError._PARTITION_EOF)
    return SimpleNamespace(error=lambda: error, offset=lambda: offset)


class Log:
    """A consumer of ten records."""

    def __init__(self, *turns: list[Any]) -> None:
        self.turns = list(turns)
        self.at = 0

    def get_watermark_offsets(self, *_: Any, **__: Any) -> tuple[int, int]:
        return 0, 10

    def assign(self, _: Any) -> None:
        """One partition."""

    def consume(self, *_: Any, **__: Any) -> list[Any]:
        turn = self.turns.pop(0)
        self.at = max([self.at, *(message.offset() + (message.error() is None) for message in turn)])
        return turn

    def position(self, _: Any) -> list[Any]:
        return [SimpleNamespace(offset=self.at)]


def test_an_earlier_end_that_a_new_leader_tells_of_is_not_the_end(tmp_path: Path) -> None:
    """It may not know yet how far the others have what it has: what was committed is read all the same."""
    store = Store(tmp_path, Memory())
    log = Log([*map(record, range(6)), ended(6)], [], [*map(record, range(6, 9)), ended(10)])
    assert _catch_up(cast("Any", log), TopicPartition("t", 0), store, packed=False, tombstones_s=1e9) == 9
    assert store.get(b"8") == b"v"
    assert (store.reflects() or (0, 0))[0] == 10
    store.close()


@pytest.mark.parametrize("days", [-2, 2])
def test_a_store_that_is_old_by_either_clock_is_made_anew(
    days: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was deleted since may be gone from the log with its deletion; a clock may step back, too."""
    store = Store(tmp_path, Memory())
    monkeypatch.setattr("streams.engine.store.time", lambda: time() + days * 86_400)
    store.write([(b"deleted", b"v")], 5)
    monkeypatch.undo()
    log = Log([*map(record, range(9)), ended(10)])
    assert _catch_up(cast("Any", log), TopicPartition("t", 0), store, packed=False, tombstones_s=86_400) == 9
    assert store.get(b"deleted") is None
    store.close()
