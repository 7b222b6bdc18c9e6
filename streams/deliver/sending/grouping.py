"""Which call to make next, single or bulk, by backlog and budgets."""

from dataclasses import dataclass
from math import inf
from typing import Final, Literal

from streams.deliver.budget import HORIZON_S

EVEN: Final = 23
"""Rows at which one of 150 bulk calls a minute costs as much as so many of 3,500 single calls."""

SOON_S: Final = 0.06
"""How far ahead a call is planned that a row still to come might share, or go before."""
FULL: Final = 1000
"""Rows that fill a bulk call: nothing that comes later changes it, so it is planned far ahead."""


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
    if waiting >= FULL:
        return Choice("bulk") if bulk_at <= end else Choice(None, bulk_at)
    soon = now + SOON_S
    single_first = single_at <= max(now, bulk_at) if waiting <= EVEN else bulk_at > soon
    if single_first and single_at <= soon:
        return Choice("single")
    return Choice("bulk") if bulk_at <= soon else Choice(None, min(single_at, bulk_at))
