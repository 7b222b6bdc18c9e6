"""Where a dead letter goes back into the line: the backfill twin of what its stage reads. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from streams.config import Config
from streams.engine.codec import Codec
from streams.engine.errors import Unreadable
from streams.engine.partition import partition_of
from streams.engine.slots import Slots
from streams.engine.topics import LANES, twin
from streams.segment.envelope import Origin, typed_identifier
from streams.segment.tracking_plan import TrackingPlan

Codecs = Callable[[str], Codec]
"""Schema name → codec, ready to write and with the letter's schema learned."""


@dataclass(frozen=True, slots=True)
class Reentry:
    """One record to write, to a topic by its logical name.

    ``anew``: it enters the line as a record of its own, in place of the refused one.
    """

    topic: str
    partition: int
    key: bytes
    value: bytes
    anew: bool = False


@dataclass(frozen=True, slots=True)
class Stays:
    """Why a letter can't go back as things are."""

    why: str


@dataclass(frozen=True, slots=True)
class Line:
    """What reentry asks about the line as it is configured now."""

    config: Config
    slots: Slots
    codec: Codecs
    plan: TrackingPlan | None = None
    """What tracks are held to; None = nothing."""

    def space_slot(self, space: str) -> int | None:
        """The space's partition; None for one that is no longer served."""
        return self.slots.spaces.get(space) if space in self.config.spaces else None

    def account_slot(self, account: str) -> int | None:
        """The account's partition; None for one that is no longer served."""
        return self.slots.accounts.get(account) if account in self.config.accounts else None


def reentry(letter: Mapping[str, Any], run: str, line: Line) -> Reentry | Stays:
    """The record to write for a letter of one of ``STAGES``.

    Args:
        letter: as decoded (``avro/dead_letter.avsc``).
        run: the redrive's id, for the origin.
        line: as it is now.
    """
    try:
        return _STAGES[letter["stage"]](letter, run, line)
    except Unreadable as why:
        return Stays(f"still unreadable: {why}")


def again(envelope: bytes, key: bytes, origin: Origin, run: str, line: Line) -> Reentry | Stays:
    """The record to write for one of ``segment.events`` or its twin: behind dedupe, which has seen it.

    Args:
        envelope: the record, untouched.
        key: its key.
        origin: where it entered.
        run: the replay's id, for the origin.
        line: as it is now.
    """
    slot = line.space_slot(origin["space"])
    if slot is None:
        return Stays(f"space {origin['space']} is not configured")
    value = line.codec("unique").encode({"event": envelope, "origin": _by(run, origin)})
    return Reentry(twin("segment.unique"), slot, key, value)


def _dedupe(letter: Mapping[str, Any], run: str, line: Line) -> Reentry | Stays:
    record = line.codec("envelope").decode(letter["bytes"])
    who = typed_identifier(record["user_id"], record["anonymous_id"], record["email"], record["phone"])
    key = f"{record['space']}\0{who}".encode()
    partition = partition_of(key, line.config.partitions)
    value = line.codec("envelope").encode(record)
    return Reentry(twin("segment.events"), partition, key, value, anew=True)


def _identify(letter: Mapping[str, Any], run: str, line: Line) -> Reentry | Stays:
    back = "engagement" in letter["origin"]["line"]
    topic, schema = ("klaviyo.engagement", "engagement") if back else ("segment.unique", "unique")
    record = line.codec(schema).decode(letter["bytes"])
    space = record["space"] if back else record["origin"]["space"]
    slot = line.space_slot(space)
    if slot is None:
        return Stays(f"space {space} is not configured")
    if not back:
        record |= {"origin": _by(run, record["origin"])}
    key = f"{space}\0{letter['event_id']}".encode()
    return Reentry(twin(topic), slot, key, line.codec(schema).encode(record), anew=back)


def _route(letter: Mapping[str, Any], run: str, line: Line) -> Reentry | Stays:
    codec = line.codec("profile_event")
    record = codec.decode(letter["bytes"])
    record |= {"origin": _by(run, record["origin"])}
    profile = record["profile"]
    key = (profile["id"] or profile["email"] or letter["event_id"]).encode()
    return Reentry(
        twin("profile.events"), partition_of(key, line.config.partitions), key, codec.encode(record)
    )


def _lane(letter: Mapping[str, Any], run: str, line: Line) -> Reentry | Stays:
    lane = letter["lane"]
    if letter["stage"] == "deliver" and lane not in LANES:
        return Stays(f"there is no lane {lane!r}")
    codec = line.codec("operation")
    record = codec.decode(letter["bytes"])
    slot = line.account_slot(record["account"])
    if slot is None:
        return Stays(f"account {record['account']} is not configured")
    record |= {"origin": _by(run, record["origin"])}
    key = f"{record['account']}\0{record['profile']['id']}".encode()
    topic = f"klaviyo.{lane}" if letter["stage"] == "deliver" else "segment.outbound"
    return Reentry(twin(topic), slot, key, codec.encode(record))


_STAGES: Mapping[str, Callable[[Mapping[str, Any], str, Line], Reentry | Stays]] = {
    "dedupe": _dedupe,
    "identify": _identify,
    "route": _route,
    "deliver": _lane,
    "feedback": _lane,
}
STAGES: tuple[str, ...] = tuple(_STAGES)
WRITTEN: tuple[str, ...] = (
    "segment.events",
    "segment.unique",
    "klaviyo.engagement",
    "profile.events",
    "klaviyo.events",
    "outcomes",
    "control",
)
"""Topics whose schemas a redrive writes with; those of all lanes are the same."""


def _by(run: str, origin: Origin) -> Origin:
    return {**origin, "replay": run}
