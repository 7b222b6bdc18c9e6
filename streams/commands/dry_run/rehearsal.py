"""The rooms in memory: gateway's reading, identify's people, the rules, Klaviyo's requests. Pure."""

from collections.abc import Iterable
from typing import Any

import orjson

from streams.commands.dry_run.calls import Calls
from streams.commands.dry_run.people import People
from streams.config import Config
from streams.gateway import messages
from streams.gateway.messages import Arrival
from streams.ledger.reasons import Outcome, Reason
from streams.route.dry_run import Fate, Line, Steps, dry_run
from streams.route.rules import compile_rules
from streams.segment.envelope import Envelope
from streams.segment.refusal import Refusal
from streams.segment.tracking_plan import TrackingPlan


def rehearse(
    config: Config,
    lines: Iterable[bytes],
    now: int,
    source: str | None = None,
    plan: TrackingPlan | None = None,
) -> list[Line]:
    """One answer for each line that has a Segment message, in their order, from an empty state.

    Args:
        config: accounts, sources and rules.
        lines: JSON, one message each; blank ones are none.
        now: when all of them are accepted, milliseconds since the epoch.
        source: who sent them, by name; None = a source that feeds every space.
        plan: what tracks are held to.
    """
    arrival = Arrival(
        source or next(iter(config.sources)),
        config.sources[source].spaces if source else spaces(config),
        now,
        "dry-run",
        config.gateway.max_event_bytes,
        plan,
    )

    def read(text: bytes) -> tuple[Envelope, ...] | Fate:
        try:
            message = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            return Fate(Outcome.DEAD_LETTERED, f"{Reason.INVALID_JSON}:{error}")
        found = messages.read(message, text, text, arrival)
        if isinstance(found, Refusal):
            return Fate(Outcome.DEAD_LETTERED, f"{found.reason}:{found.detail}", found.event_id)
        return tuple(envelope for _, envelope in found)

    return _run(config, (line.strip() for line in lines), read, now)


def rehearse_records(config: Config, envelopes: Iterable[Envelope], now: int) -> list[Line]:
    """The same for messages that were accepted before, each in the space and at the time it was."""
    accepted = list(envelopes)
    known = set(config.spaces)

    def read(text: bytes) -> tuple[Envelope, ...] | Fate:
        envelope = accepted[int(text)]
        if envelope["space"] not in known:
            return Fate(Outcome.FILTERED, f"{Reason.NO_RULE}:there is no space {envelope['space']!r}")
        return (envelope,)

    return _run(config, (str(number).encode() for number in range(len(accepted))), read, now)


def spaces(config: Config) -> tuple[str, ...]:
    """Every space that a source feeds, in the order of the file."""
    return tuple(dict.fromkeys(space for source in config.sources.values() for space in source.spaces))


def failed(line: Line) -> bool:
    """Whether something of the line is refused or could not be mapped."""
    return line.outcome == Outcome.DEAD_LETTERED or bool(line.unmapped)


def _run(config: Config, lines: Iterable[bytes], read: Any, now: int) -> list[Line]:
    router = compile_rules(config)
    return dry_run(lines, router, Steps(read, People(config, router), Calls(config, now)))
