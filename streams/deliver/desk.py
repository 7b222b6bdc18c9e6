"""What the lanes of one account share: the client, the budgets, the clocks, the codecs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from time import monotonic, time
from typing import Any

from streams.deliver.newcomers import Newcomers
from streams.deliver.occupancy import Ahead, Occupancy
from streams.deliver.spending import Spending
from streams.klaviyo.client import Client

Encode = Callable[[Mapping[str, Any]], bytes]


@dataclass(frozen=True, slots=True)
class Desk:
    """One account of one slot. ``paused``: family → why its lane is paused, None while it is not."""

    account: str
    space: str
    client: Client
    spending: Spending
    decode: Callable[[bytes], dict[str, Any]]
    outcome: Encode
    dead_letter: Encode
    paused: Callable[[str], str | None]
    tries: int = 8
    """Strikes that make a row alone a dead letter."""
    backfill_share: float = 0.05
    probe_s: float = 30.0
    """How often a stopped lane tries one row."""
    clock: Callable[[], float] = monotonic
    wall: Callable[[], float] = time
    random: Random = field(default_factory=Random)
    occupancy: Occupancy = field(default_factory=lambda: Occupancy(monotonic))
    ahead: Ahead = field(default_factory=Ahead)
    newcomers: Newcomers = field(default_factory=Newcomers)
    new_profiles_per_day: int | None = None
    """Above it somebody is told."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return int(self.wall() * 1000)
