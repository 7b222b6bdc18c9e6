"""Which call to make next, single or bulk, by backlog and budgets."""

from dataclasses import dataclass
from math import inf
from typing import Final, Literal

from streams.deliver.budget import HORIZON_S

EVEN: Final = 23
"""Rows at which one of 150 bulk calls a minute costs as much as so many of 3,500 single calls."""

SOON_S: Final = 0.05
"""How long rows wait for a bulk call while single ones may leave."""
FULL: Final = 1000
"""Rows that fill a bulk call: a backlog this long has nothing to gain from single ones."""


@dataclass(frozen=True, slots=True)
class Choice:
    """``how`` to send now, or None: then ask again ``at`` (inf: when something happens)."""

    how: Literal["single", "bulk"] | None
    at: float = inf


def choose(waiting: int, now: float, single_at: float, bulk_at: float | None) -> Choice:
    """Choose for rows that wait.

    Args:
        waiting: rows that may be sent now.
        now: seconds.
        single_at: when the single call's budget allows the next one.
        bulk_at: the same of the bulk call; None where the family has no bulk call.
    """
    if not waiting:
        return Choice(None)
    end = now + HORIZON_S
    if bulk_at is None:
        return Choice("single") if single_at <= end else Choice(None, single_at)
    if waiting <= EVEN:
        if single_at <= now or single_at <= min(bulk_at, end):
            return Choice("single")
        return Choice("bulk") if bulk_at <= end else Choice(None, min(single_at, bulk_at))
    if waiting < FULL and single_at <= now and bulk_at > now + SOON_S:
        return Choice("single")
    return Choice("bulk") if bulk_at <= end else Choice(None, bulk_at)
