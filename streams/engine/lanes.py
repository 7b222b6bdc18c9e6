"""The lanes of accounts: which are paused, and how much waits in each."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from streams.config import Config
from streams.engine.control import Control, now_ms, read_control, write_control
from streams.engine.positions import Passed, positions
from streams.engine.reading import Place, Range, Reader, place_of
from streams.engine.slots import Slots
from streams.engine.topics import LANES, full, twin

SEGMENT = "segment"
ALL = (*LANES, SEGMENT)
"""The families of Klaviyo's operations, and the way back to Segment."""
GUARD: Final = "guard:"
"""How the reason of a lane begins that paused itself."""
COUNTED: Final = 10_000
"""Offsets of which the records are counted one by one; an empty lane shows 0, not its last marker."""


def topic(lane: str) -> str:
    """Logical name of the lane's topic."""
    return "segment.outbound" if lane == SEGMENT else f"klaviyo.{lane}"


def pause(config: Config, names: Iterable[str], reason: str) -> None:
    """Pause lanes, each ACCOUNT/LANE. Raises Away."""
    at = now_ms()
    write_control(config, {("pause", n): Control("pause", n, reason=reason, at=at) for n in names})


def resume(config: Config, names: Iterable[str]) -> None:
    """Take the pauses back. Raises Away."""
    write_control(config, {("pause", name): None for name in names})


def listing(config: Config) -> list[dict[str, Any]]:
    """One row a lane: account, lane, state, paused, reason, since (ms), lag.

    ``state``: live; paused by a person, or guarded, if it paused itself; stopped, which tries one row now and
    then. ``lag`` counts records not passed yet, live and backfill. All of it is read from Kafka.
    """
    facts = read_control(config)
    slots = Slots.of(facts.values())
    reader = Reader(config.kafka.client())
    places = [
        (full(config.prefix, name), slots.account(account))
        for account in config.accounts
        for lane in ALL
        for name in _topics(lane)
    ]
    starts, ends = reader.starts(places), reader.stable(places)
    stages = {stage: positions(reader, config.prefix, stage) for stage in ("deliver", "feedback")}

    def passed(account: str, lane: str) -> Iterator[tuple[Place, Passed]]:
        slot = slots.account(account)
        position = stages["feedback" if lane == SEGMENT else "deliver"].get(slot, {})
        for name in _topics(lane):
            place = (full(config.prefix, name), slot)
            yield place, position.get(name, Passed(starts[place]))

    lanes = [(account, lane) for account in config.accounts for lane in ALL]
    waiting = _waiting(reader, dict(each for lane in lanes for each in passed(*lane)), ends)

    return [_row(*lane, facts.get(("pause", "/".join(lane))), list(passed(*lane)), waiting) for lane in lanes]


def _row(
    account: str,
    lane: str,
    pause: Control | None,
    stands: list[tuple[Place, Passed]],
    waiting: Mapping[Place, int],
) -> dict[str, Any]:
    state, reason, since = _state(pause, [passed for _, passed in stands])
    return {
        "account": account,
        "lane": lane,
        "state": state,
        "paused": pause is not None,
        "reason": reason,
        "since": since,
        "lag": sum(waiting[place] for place, _ in stands),
    }


def _state(pause: Control | None, topics: Iterable[Passed]) -> tuple[str, str | None, int | None]:
    """How a lane is, why, and since when (ms). Who is paused sends nothing, whatever else it is."""
    if pause is not None:
        return "guarded" if (pause.reason or "").startswith(GUARD) else "paused", pause.reason, pause.at
    stopped = next((passed.stopped for passed in topics if passed.stopped), None)
    return ("live", None, None) if stopped is None else ("stopped", *stopped)


def _waiting(reader: Reader, passed: Mapping[Place, Passed], ends: Mapping[Place, int]) -> dict[Place, int]:
    """How much waits at each place: few are counted, of many the offsets tell, transactions' markers too."""
    waiting = {place: done.open(ends[place]) for place, done in passed.items()}
    few = [place for place, done in passed.items() if waiting[place] and ends[place] - done.next <= COUNTED]
    waiting |= dict.fromkeys(few, 0)
    for batch in reader.read([Range(*place, passed[place].next, ends[place]) for place in few]):
        for place, offset in map(place_of, batch):
            waiting[place] += offset not in passed[place]
    return waiting


def _topics(lane: str) -> tuple[str, str]:
    return topic(lane), twin(topic(lane))
