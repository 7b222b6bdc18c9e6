"""What keeps an event out of the line, whichever way it comes."""

from dataclasses import dataclass

from streams.ledger.reasons import Reason

LONGEST_ID = 255
"""Klaviyo's cap of an external_id, and a bound for every key in the line's state."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an event can't enter the line; ``detail`` names every violation."""

    reason: Reason
    detail: str
    event_id: str = ""
