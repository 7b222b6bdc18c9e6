"""The section about contracts: what an event's properties must be, and what happens to those that differ."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from streams.config.sections import Place, Section

CHECKOUT = Path(__file__).parents[2]


class Held(Section):
    """How one event is held to its contract."""

    enforce: Literal[True, "warn", False] = True
    """true: an event that breaks it is a dead letter; warn: it is only counted; false: neither."""


class Contracts(Section):
    """Tracks held to contracts as they arrive."""

    folder: Place = Path("avro/contracts")
    """Where the contracts are: Avro schemas, one file an event, which each names under ``event``."""
    events: dict[str, Held] = Field(default_factory=dict)
    """Event name → how it is held; an event that is not named is not checked."""
    unknown: Literal["allow", "warn", "refuse"] = "allow"
    """What happens to tracks of events that have no contract."""

    @property
    def path(self) -> Path:
        """The folder, where it really is: beside the working directory, else in the checkout."""
        return self.folder if self.folder.is_dir() else CHECKOUT / self.folder
