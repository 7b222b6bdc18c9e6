"""How what was held for too long goes, tick by tick."""

from pathlib import Path
from typing import Any

import pytest

from streams.engine.outbox import Outbox
from streams.engine.store import Memory, Store
from streams.identify import agent, holds
from streams.identify.agent import Identify
from streams.identify.people import Pointer


class Now:
    """A slot whose clock stands at the hundredth hour."""

    clock = 100 * holds.HOUR_MS

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder, Memory())

    def hold(self, anonymous_id: str, accepted_at: int) -> None:
        self.store.write(holds.hold(anonymous_id, Pointer(), accepted_at, anonymous_id.encode()), 1)


class Told:
    """A codec, and a ledger, of anonymous ids."""

    def decode(self, value: bytes) -> Any:
        return {"origin": None, "event": value}

    def outcome(self, _: Any, event_id: Any, *__: Any) -> bytes:
        name: bytes = event_id
        return name


@pytest.fixture
def stage() -> Identify:
    found: Any = object.__new__(Identify)
    found._hold_ms, found._unique, found._ledger = holds.HOUR_MS, Told(), Told()
    found._identity = lambda value: {"event_id": value}
    found._expired = {}
    return found  # type: ignore[no-any-return]


def ticks(stage: Identify, slot: Any) -> list[bytes]:
    """What goes until a tick has nothing to do."""
    gone: list[bytes] = []
    while (outbox := stage._expire(slot)) is not None:
        assert isinstance(outbox, Outbox)
        gone += outbox.outcomes
        slot.store.write(outbox.changes.items(), 1)
    return gone


def test_each_goes_once_however_many_there_are(
    stage: Identify, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what is held since with an older date, as a backfill brings it, goes as soon as no others do."""
    monkeypatch.setattr(agent, "EXPIRED_A_TICK", 3)
    slot = Now(tmp_path)
    for number in range(10):
        slot.hold(f"a{number}", 1_000 + number)
    slot.hold("young", slot.clock)
    first: Any = stage._expire(slot)  # type: ignore[arg-type]
    slot.store.write(first.changes.items(), 1)
    slot.hold("older", 5)

    rest = ticks(stage, slot) + ticks(stage, slot)
    assert first.outcomes + rest == [b"a%d" % number for number in range(10)] + [b"older"]
    assert len(list(slot.store.scan(b"x"))) == 1
    slot.store.close()
