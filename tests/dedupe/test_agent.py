"""What a tick does to the marks of a slot."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import pytest

from streams.dedupe.agent import Dedupe
from streams.dedupe.marks import mark
from streams.engine.codec import Codec
from streams.engine.inbox import Batch
from streams.engine.outbox import Outbox
from streams.engine.slots import Slots
from streams.engine.store import Memory, Store
from streams.gateway.messages import Arrival, Read, read
from tests.gateway.conftest import own

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


class Record(NamedTuple):
    offset: int
    value: bytes
    key: bytes = b"k"
    timestamp: int = 1


def stepped(*garbage: bytes) -> Outbox:
    """What becomes of a good record and, before and behind it, of such that begin with its frame or bytes."""
    config = SimpleNamespace(dedupe=SimpleNamespace(window_days=7))
    registry = SimpleNamespace(codec=known)
    context: Any = SimpleNamespace(config=config, registry=registry, slots=Slots({"acme": 3}))
    slot: Any = SimpleNamespace(partition=0, store=SimpleNamespace(get_many=lambda keys: [None] * len(keys)))
    records = [Record(offset, value) for offset, value in enumerate(garbage)]
    outbox = Dedupe(context).step(Batch("segment.events", records), slot)
    assert outbox is not None
    assert outbox.positions == {"segment.events": len(garbage)}
    return outbox


def good() -> bytes:
    message = b'{"type":"page","userId":"u"}'
    arrival = Arrival("web", ("acme",), WINDOW_MS, "t", 32_768)
    ((_, envelope),) = cast("Read", read({"type": "page", "userId": "u"}, message, message, arrival))
    return own("envelope").encode(envelope)


@pytest.mark.parametrize("garbage", [b"", bytes(30), bytes(300), b"garbage", UID + b"\x02x\x02", b"x" * 500])
def test_what_only_begins_like_an_envelope_is_a_dead_letter_and_the_next_goes_on(garbage: bytes) -> None:
    outbox = stepped(good()[:5] + garbage, good())

    assert len(outbox.dead_letters) == 1
    assert [partition for partition, _, _ in outbox.records["segment.unique"]] == [3]


def test_the_torn_copy_of_an_event_is_a_dead_letter() -> None:
    outbox = stepped(good(), good()[:29], good())

    assert (len(outbox.dead_letters), len(outbox.outcomes)) == (1, 1)
    assert len(outbox.records["segment.unique"]) == 1


def known(name: str) -> Codec:
    codec = own(name)
    codec._writers[7] = codec.schema
    return codec
