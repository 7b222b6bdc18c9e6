"""Which list a name means: one group asks for it, or makes it, and the others wait for the answer."""

from dataclasses import dataclass, field
from typing import Final

import orjson

from streams.deliver.family import Read
from streams.deliver.lists.lookups import list_key

LEASE_MS: Final = 60_000
"""A group that has not asked for so long asks no more: another does. The longest wait between two tries is
half of it."""
_SOON_S: Final = 0.1
_LONGEST_S: Final = 5.0


@dataclass(slots=True)
class _Asker:
    turn: int
    since: int
    at: int


@dataclass(slots=True)
class Naming:
    """Who asks for which list. Mutable, one a lane; times in ms by the wall clock.

    ``patience_ms``: so long after a call that makes a list left, Klaviyo may still do it.
    """

    patience_ms: int = 11_000
    _askers: dict[str, _Asker] = field(default_factory=dict)
    _turn: int = 0

    def begin(self) -> int:
        """A new turn of sorting: its rows may ask together."""
        self._turn += 1
        return self._turn

    def asks(self, ref: str, turn: int, read: Read, now_ms: int) -> bool:
        """Whether a row that is sorted now asks; ``turn``: that of its last sorting, 0 if there was none."""
        made_at = making(ref, read)
        if made_at is not None and 0 <= now_ms - made_at < self.patience_ms:
            return False
        asker = self._askers.get(ref)
        # an asker's row that is sorted again has left its group: the question is open
        if asker is None or asker.turn in (turn, self._turn) or not 0 <= now_ms - asker.at < self._lease:
            since = now_ms if asker is None else asker.since
            self._askers[ref] = _Asker(self._turn, since, now_ms)
            return True
        return False

    def asking(self, ref: str, turn: int, now_ms: int) -> bool:
        """Whether the group of that turn is the one that asks; if so, it goes on being it."""
        asker = self._askers.get(ref)
        if asker is None or asker.turn != turn:
            return False
        asker.at = now_ms
        return True

    def over(self, ref: str, turn: int) -> None:
        """The group of that turn asks no more."""
        asker = self._askers.get(ref)
        if asker is not None and asker.turn == turn:
            del self._askers[ref]

    def wait_s(self, ref: str, now_ms: int) -> float:
        """How soon to look again whether there is an answer: the longer it takes, the less often."""
        asker = self._askers.get(ref)
        open_s = (now_ms - asker.since) / 1000 if asker else 0.0
        return min(_LONGEST_S, max(_SOON_S, open_s / 4))

    @property
    def _lease(self) -> int:
        return LEASE_MS + self.patience_ms


def making(ref: str, read: Read) -> int | None:
    """When the call that makes the list left, if it had no answer."""
    value = read(list_key(ref))
    at = orjson.loads(value).get("making") if value is not None else None
    return int(at) if at is not None else None


def making_form(now_ms: int) -> bytes:
    """In the place of a list that is about to be made: a successor must not make it, too."""
    return orjson.dumps({"making": now_ms})
