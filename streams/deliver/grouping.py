"""Which call to make next, single or bulk, by backlog and budgets."""

from dataclasses import dataclass
from math import inf
from typing import Final, Literal

from streams.deliver.budget import HORIZON_S

EVEN: Final = 23
"""Rows at which one of 150 bulk calls a minute costs as much as so many of 3,500 single calls."""


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
    return Choice("bulk") if bulk_at <= end else Choice(None, bulk_at)
