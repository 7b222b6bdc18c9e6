"""A message refused before the line, read once more by the configuration as it is now. Pure."""

from collections.abc import Mapping
from typing import Any

import orjson

from streams.config import Config
from streams.engine.partition import partition_of
from streams.engine.topics import twin
from streams.gateway import messages
from streams.gateway.messages import Arrival
from streams.gateway.records import ENGAGEMENT, EVENTS
from streams.klaviyo import engagement
from streams.klaviyo.engagement import Delivery
from streams.ledger.reentry import Line, Reentry, Stays
from streams.segment.refusal import Refusal

STAGES = ("gateway", "import", "bridge", "poll")
"""Who refuses before the line."""


def readmit(letter: Mapping[str, Any], line: Line) -> Reentry | Stays:
    """The record to write for a letter of the gateway, as of when it was accepted.

    Args:
        letter: as decoded (``avro/dead_letter.avsc``).
        run: the redrive's id, the source of a message whose own is not known.
        line: as it is now.
    """
    if letter["stage"] not in STAGES:
        return Stays(f"no stage {letter['stage']!r} takes it back")
    space = letter["origin"]["space"]
    slot = line.space_slot(space)
    if slot is None:
        return Stays(f"space {space} is not configured")
    try:
        message = orjson.loads(letter["bytes"])
    except orjson.JSONDecodeError as why:
        return Stays(f"still no JSON: {why}{_hint(letter)}")
    if letter["origin"]["line"].startswith("engagement"):
        return _engagement(letter, message, slot, line)
    return _event(letter, message, line)


def _event(letter: Mapping[str, Any], message: object, line: Line) -> Reentry | Stays:
    origin, body, config = letter["origin"], letter["bytes"], line.config
    arrival = Arrival(
        _source(config, origin["space"]),
        (origin["space"],),
        origin["accepted_at"],
        letter["trace_id"] or "",
        config.gateway.max_event_bytes,
        line.plan,
    )
    read = messages.read(message, body, body, arrival)
    if isinstance(read, Refusal):
        return Stays(f"still {read.reason}: {read.detail}{_hint(letter)}")
    ((identifier, envelope),) = read
    key = f"{envelope['space']}\0{identifier}".encode()
    value = line.codec("envelope").encode(envelope)
    return Reentry(twin(EVENTS), partition_of(key, config.partitions), key, value, anew=True)


def _hint(letter: Mapping[str, Any]) -> str:
    """A row is mended where it came from: its letter can't be."""
    mend = "; fix the row in the file and import again, then discard this letter"
    return mend if letter["stage"] == "import" else ""


def _engagement(letter: Mapping[str, Any], item: object, slot: int, line: Line) -> Reentry | Stays:
    origin, account = letter["origin"], letter["account"] or ""
    if line.account_slot(account) is None:
        return Stays(f"account {account} is not configured")
    read = engagement.read(item, letter["bytes"], Delivery(account, origin["space"], origin["accepted_at"]))
    if isinstance(read, Refusal):
        return Stays(f"still {read.reason}: {read.detail}")
    key = f"{origin['space']}\0{read[0]}".encode()
    return Reentry(twin(ENGAGEMENT), slot, key, line.codec("engagement").encode(read[1]), anew=True)


def _source(config: Config, space: str) -> str:
    """The one source of the space; a letter does not say which of several it was."""
    found = [name for name, source in config.sources.items() if space in source.spaces]
    return found[0] if len(found) == 1 else "redrive"
