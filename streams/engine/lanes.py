"""The lanes of accounts: which are paused, and how much waits in each."""

from collections.abc import Iterable
from typing import Any

from streams.config import Config
from streams.engine.control import Control, now_ms, read_control, write_control
from streams.engine.positions import Passed, positions
from streams.engine.reading import Reader
from streams.engine.slots import Slots
from streams.engine.topics import LANES, full, twin

SEGMENT = "segment"
ALL = (*LANES, SEGMENT)
"""The families of Klaviyo's operations, and the way back to Segment."""


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
    """One row a lane: account, lane, paused, reason, lag (records not passed yet, live and backfill)."""
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
    passed = {stage: positions(reader, config.prefix, stage) for stage in ("deliver", "feedback")}

    def lag(account: str, lane: str) -> int:
        slot = slots.account(account)
        position = passed["feedback" if lane == SEGMENT else "deliver"].get(slot, {})
        waiting = 0
        for name in _topics(lane):
            place = (full(config.prefix, name), slot)
            waiting += position.get(name, Passed(starts[place])).open(ends[place])
        return waiting

    def row(account: str, lane: str) -> dict[str, Any]:
        pause = facts.get(("pause", f"{account}/{lane}"))
        return {
            "account": account,
            "lane": lane,
            "paused": pause is not None,
            "reason": pause.reason if pause else None,
            "lag": lag(account, lane),
        }

    return [row(account, lane) for account in config.accounts for lane in ALL]


def _topics(lane: str) -> tuple[str, str]:
    return topic(lane), twin(topic(lane))
