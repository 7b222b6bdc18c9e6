"""What a tick does to the marks of a slot."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from streams.dedupe.agent import Dedupe
from streams.dedupe.marks import mark
from streams.engine.inbox import Batch
from streams.engine.store import Memory, Store

TICK = Batch("", ())
WINDOW_MS = 1_000
UID = bytes(16)


def test_a_tick_drops_old_marks_and_leaves_a_store_without_any_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each dropped range makes the next read slower until the store is compacted."""
    store = Store(tmp_path, Memory())
    store.write([(mark(bucket, UID), b"") for bucket in (5, 6, 7, 8)], 1)
    dropped: list[bytes] = []
    drop = store.drop_range
    monkeypatch.setattr(store, "drop_range", lambda begin, end: (dropped.append(end), drop(begin, end)))
    dedupe = object.__new__(Dedupe)
    dedupe._window_ms = WINDOW_MS
    slot: Any = SimpleNamespace(store=store, clock=8 * WINDOW_MS // 2)

    for _ in range(3):
        assert dedupe.step(TICK, slot) is None

    assert dropped == [mark(6, b"")]
    assert [key for key, _ in store.scan(b"m")] == [mark(bucket, UID) for bucket in (6, 7, 8)]
    store.close()
