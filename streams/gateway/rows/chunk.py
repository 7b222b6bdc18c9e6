"""A chunk's rows: which are sent, which say what they said last time, which become dead letters, once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Final, Protocol

import orjson

from streams.gateway import messages
from streams.gateway.entry import Entry, invalid
from streams.gateway.messages import Arrival
from streams.gateway.rows.mapping import Message, Shape, Unmappable, message_of
from streams.gateway.rows.row import Row
from streams.segment.refusal import Refusal

_BAD: Final = b"bad\0"
"""Before the content of a bad row: it has no key, and what it says is what it is known by."""


class Last(Protocol):
    """What was made of a key the last time."""

    def last(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """Digests of those of the keys that have any."""


@dataclass(slots=True)
class Done:
    """A chunk's rows, and by key the digest of what was made of them.

    Of ``refused``, ``known`` have their dead letters already.
    """

    sent: int = 0
    unchanged: int = 0
    refused: int = 0
    known: int = 0
    changed: dict[bytes, bytes] = field(default_factory=dict)


def message(row: Row, shape: Shape) -> Message | Refusal:
    """The row's message, or why it has none."""
    if row.problem:
        return invalid(row.problem)
    try:
        return message_of(row.values, shape, row.number)
    except Unmappable as why:
        return invalid(str(why))


def add(
    entry: Entry, chunk: Sequence[Row], shape: Shape, arrival: Arrival, last: Last, *, by_change: bool
) -> Done:
    """Admit a chunk's rows.

    Args:
        entry: where their envelopes and dead letters go.
        chunk: the rows.
        shape: how they are read.
        arrival: for whom, and by which limits and contracts.
        last: of earlier runs. A bad row that has its dead letter gets no second one.
        by_change: whether what says what was sent last for its key stays here.
    """
    spaces = "\0".join(arrival.spaces).encode()
    done = Done()
    made = [_Made.of(row, shape, arrival) for row in chunk]
    keys = [each.key for each in made] if by_change else [each.key for each in made if each.refusal]
    known = last.last(keys)
    for row, each in zip(chunk, made, strict=True):
        digest = _digest(each.says, spaces)
        same = known.get(each.key) == digest
        if each.refusal is not None:
            done.refused += 1
            done.known += same
            if not same:
                entry.refuse(each.refusal, each.data, arrival, where=f"row {row.number}")
        elif by_change and same:
            done.unchanged += 1
        else:
            done.sent += 1
            entry.add(each.read)
        if each.refusal is not None or shape.event is None:
            known[each.key] = done.changed[each.key] = digest
    return done


@dataclass(frozen=True, slots=True)
class _Made:
    """What a row is known by, what it says, and either what to write for it or why that can't be."""

    key: bytes
    says: bytes
    data: bytes
    read: messages.Read
    refusal: Refusal | None = None

    @classmethod
    def of(cls, row: Row, shape: Shape, arrival: Arrival) -> "_Made":
        found = message(row, shape)
        if isinstance(found, Refusal):
            data = row.raw or _shown(row)
            return cls._bad(found, data, data, shape)
        read = messages.read(found.message, found.body, found.body, arrival)
        if isinstance(read, Refusal):
            return cls._bad(read, found.body, found.key + found.digest, shape)
        return cls(found.key, found.digest, found.body, read)

    @classmethod
    def _bad(cls, refusal: Refusal, data: bytes, content: bytes, shape: Shape) -> "_Made":
        """The same row has the same event id at each run, its number and the run's name left out."""
        key = _digest(_BAD, shape.name.encode(), content)
        named = replace(refusal, event_id=f"import-{key.hex()}")
        return cls(key, f"{refusal.reason}\0{refusal.detail}".encode(), data, [], named)


def _shown(row: Row) -> bytes:
    """The values of a row that can't be a message, as JSON; what JSON can't hold, as Python shows them."""
    try:
        return orjson.dumps(dict(row.values), default=str, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # orjson's own errors are
        return ascii(dict(row.values)).encode()


def _digest(*parts: bytes) -> bytes:
    return blake2b(b"\0".join(parts), digest_size=16).digest()
