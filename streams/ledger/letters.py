"""Dead letters as users see them. Pure."""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from streams.ledger.marks import Mark

_AGE = re.compile(r"(\d+)([smhd])")
STAGES = ("gateway", "import", "bridge", "dedupe", "identify", "route", "deliver", "feedback")
"""Who writes dead letters, in the order of the line."""
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True)
class Filters:
    """Which dead letters; None = any. ``since`` and ``until`` in milliseconds since the epoch, the latter not
    included.
    """

    reason: str | None = None
    lane: str | None = None
    account: str | None = None
    stage: str | None = None
    since: int | None = None
    event: str | None = None
    until: int | None = None

    def match(self, letter: Mapping[str, Any]) -> bool:
        """Whether a dead letter passes. A reason matches with and without its detail after the colon."""
        return (
            (self.reason is None or self.reason in (letter["reason"], letter["reason"].partition(":")[0]))
            and self.lane in (None, letter["lane"])
            and self.account in (None, letter["account"])
            and self.stage in (None, letter["stage"])
            and self.event in (None, letter["event_id"])
            and (self.since is None or letter["at"] >= self.since)
            and (self.until is None or letter["at"] < self.until)
        )


def document(
    partition: int, offset: int, letter: Mapping[str, Any], mark: Mark | None = None
) -> dict[str, Any]:
    """A dead letter (``avro/dead_letter.avsc``) in the form of ``dead-letters list --json``.

    ``status`` is open, redriven or discarded; ``run`` and ``why`` are those of the last one who said so.
    """
    origin = letter["origin"]
    return {
        "id": f"{partition}-{offset}",
        "at": letter["at"],
        "stage": letter["stage"],
        "account": letter["account"],
        "lane": letter["lane"],
        "reason": letter["reason"],
        "detail": letter["detail"],
        "origin": {
            key: origin[key] for key in ("space", "partition", "offset", "line", "accepted_at", "replay")
        },
        "event_id": letter["event_id"],
        "delivery_id": letter["delivery_id"],
        "attempts": letter["attempts"],
        "reply": letter["reply"],
        "trace_id": letter["trace_id"],
        "bytes": b64encode(letter["bytes"]).decode(),
        "status": mark.status if mark else "open",
        "run": mark.run if mark else None,
        "why": mark.why if mark else None,
    }


def place_of(which: str) -> tuple[int, int]:
    """Partition and offset of an id. Raises ValueError."""
    found = re.fullmatch(r"(\d+)-(\d+)", which)
    if found is None:
        raise ValueError(f"{which!r} is not an id: write PARTITION-OFFSET, as `dead-letters list` shows it")
    return int(found[1]), int(found[2])


def since_ms(text: str, now: datetime) -> int:
    """Milliseconds since the epoch of an ISO 8601 time (UTC unless it says) or an age such as ``2h``.

    Raises:
        ValueError: it is neither.
    """
    age = _AGE.fullmatch(text)
    try:
        at = now - timedelta(**{_UNITS[age[2]]: int(age[1])}) if age else datetime.fromisoformat(text)
        return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
    except OverflowError:
        raise ValueError(f"{text!r} is before the year 1: write 2026-05-01T12:00 or 2h") from None
    except ValueError:
        raise ValueError(f"{text!r} is neither ISO 8601 nor an age: write 2026-05-01T12:00 or 2h") from None


def readable(letter: Mapping[str, Any]) -> str:
    """A dead letter for a person: its facts, then the record's bytes as text."""
    at = datetime.fromtimestamp(letter["at"] / 1000, UTC).isoformat(timespec="milliseconds")
    facts = {key: value for key, value in letter.items() if key != "bytes" and value is not None} | {"at": at}
    facts |= {key: json.dumps(value) for key, value in facts.items() if isinstance(value, Mapping)}
    body = b64decode(letter["bytes"]).decode(errors="backslashreplace")
    return "\n".join([*(shown(f"{key}: {value}") for key, value in facts.items()), "", shown(body)])


def shown(text: str) -> str:
    """A sender's text as a terminal may have it: what would move its cursor, or colour it, is written out."""
    return "".join(each if each.isprintable() or each in "\n\t" else ascii(each)[1:-1] for each in text)
