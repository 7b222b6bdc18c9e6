"""Short ways to say what stages say."""

from typing import Any

from streams.ledger.outcomes import dead_letter, outcome
from streams.ledger.reasons import Outcome, Reason
from streams.segment.envelope import Origin


def origin(offset: int, line: str = "events", partition: int = 0, replay: str | None = None) -> Origin:
    return Origin(
        line=line, space="acme", partition=partition, offset=offset, accepted_at=1_000, replay=replay
    )


def says(
    stage: str, offset: int, became: str, reason: str | None = None, at: int = 2_000, **more: Any
) -> dict[str, Any]:
    """An outcome; line, partition and replay are the origin's, the rest the outcome's."""
    where = {key: more.pop(key) for key in ("line", "partition", "replay") if key in more}
    return outcome(origin(offset, **where), f"e{offset}", stage, Outcome(became), reason, at=at, **more)


def refuses(stage: str, offset: int, at: int = 2_000, **more: Any) -> dict[str, Any]:
    """A dead letter."""
    where = {key: more.pop(key) for key in ("line", "partition", "replay") if key in more}
    found = origin(offset, **where)
    return dead_letter(found, f"e{offset}", stage, Reason.REJECTED, "no", b"{}", at=at, **more)
