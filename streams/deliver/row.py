"""A row: one operation of a lane on its way to Klaviyo; a group: the rows of one call."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from streams.klaviyo.operation import Operation
from streams.segment.envelope import Profile


@dataclass(slots=True, eq=False)
class Row:
    """``start`` is where its span of offsets begins; ``ready`` what its family prepared for sending."""

    topic: str
    start: int
    offset: int
    op: Operation
    value: bytes
    ready: Any = None
    size: int = 0
    """What it adds to a bulk body, bytes."""
    ignored: tuple[str, ...] = ()
    """Fields left out before sending."""
    queued: bool = False
    """Whether the lane holds it."""
    backfill: bool = False
    """It came by the backfill topic: live rows go first."""
    attempts: int = 0
    strikes: int = 0
    """Times it failed alone while its lane succeeded."""
    failures: int = 0
    """Calls with it that got no verdict."""
    failed_at: tuple[int, int] = (0, 0)
    """The lane's counts of successes and failures when it first failed."""
    tried: bool = False
    """A call with it left, in this life or a former one: whom it addresses does not change any more."""
    tried_at: int = 0
    """When the call of a former life left that is in doubt, ms."""
    doubted_at: int = 0
    """When a call with it first left that Klaviyo may have taken, ms; 0: there is none."""
    into: Profile | None = None
    """Whom its profile was merged into before the first try."""
    once: bytes = b""
    """Where the mark stands that it holds."""
    came: int = 0
    """When the lane's topic got it, ms; 0 = not known."""
    again: bool = False
    """Accepted before and not to be found at Klaviyo: it goes once more, alone."""

    @property
    def who(self) -> str:
        """The profile it is for: order holds within it."""
        return self.op["profile"]["id"]

    @property
    def person(self) -> str:
        """The profile that the state speaks of: the one it was merged into, if it was."""
        return self.who if self.into is None else self.into["id"]

    @property
    def weight(self) -> int:
        """About what it holds in memory, bytes."""
        return 3500 + 2 * len(self.value) + self.size


@dataclass(slots=True, eq=False)
class Group:
    """Rows that go in one call; rows of a profile stand together. ``after`` waits for this one's end."""

    id: str
    rows: list[Row]
    bulk: bool
    failures: int = 0
    """Times running that it failed without a verdict."""
    rounds: int = 0
    """Times running that some of its rows were refused."""
    after: "Group | None" = None
    at_ms: int = 0
    """When its call was last planned, by the wall clock."""
    effects: Any = None
    """What its family will keep in the state once it is accepted."""
    step: Any = None
    """Where its family is between questions."""
    probes: bool = False
    """It left while its lane was stopped, to see whether it may go on."""
    job: str | None = None
    """Klaviyo's open job that has its rows: it stays together until the job ends."""

    def profiles(self) -> set[str]:
        """Whose rows it holds, those that wait behind it included."""
        found = {row.who for row in self.rows}
        found |= {row.into["id"] for row in self.rows if row.into is not None}
        return found | self.after.profiles() if self.after else found


@dataclass(frozen=True, slots=True)
class Settled:
    """The end of a row."""

    row: Row
    outcome: str
    reason: str
    detail: str = ""
    reply: tuple[int, str] | None = None
    """Status and beginning of the last answer."""
    changes: dict[bytes, bytes] = field(default_factory=dict)


def by_profile(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows of each profile, in order."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.who, []).append(row)
    return list(found.values())
