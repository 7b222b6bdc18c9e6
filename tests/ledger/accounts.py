"""Accounts of a few records, and what they add up to."""

from typing import Any

from streams.ledger.accounting import HOUR_MS, Accounts
from streams.ledger.book import State
from streams.ledger.tally import Tally

NOW = 10 * HOUR_MS


def accounts(records: int, line: str = "events") -> Accounts:
    made = Accounts(hold_ms=2 * HOUR_MS)
    made.grow(line, 0, 0, records)
    return made


def tally(made: Accounts, passed: int = 1_000, line: str = "events") -> Tally:
    made.looked({(line, 0): range(0)})
    return made.tally(NOW, {(line, 0): passed})


def states(made: Accounts, **more: Any) -> dict[State, int]:
    return dict(tally(made, **more).states["events"])
