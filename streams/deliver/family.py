"""What a family of operations is to its sender."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, runtime_checkable

import orjson

from streams.deliver.lists.guard import Guard
from streams.deliver.row import Group, Row, Settled
from streams.klaviyo.operation import Operation
from streams.klaviyo.replies import Reply
from streams.klaviyo.requests import Request
from streams.ledger.reasons import Reason

Read = Callable[[bytes], bytes | None]
"""The slot's state, what is about to be committed included."""


HOLD_S: Final = 0.1
"""How soon rows are looked at again that wait for a call of another lane or profile."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Ready to send; ``size`` is what it adds to a bulk body."""

    ready: Any
    size: int
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NotSent:
    """Refused before sending."""

    reason: Reason
    detail: str


class Family(Protocol):
    """How operations of one family become calls. Pure: the state is read by a function handed in."""

    @property
    def name(self) -> str:
        """The lane's name."""

    @property
    def single(self) -> str:
        """Budget of the call for one row."""

    @property
    def bulk(self) -> str | None:
        """Budget of the call for many; None where there is none."""

    @property
    def each(self) -> int:
        """Rows of one profile that one single call may carry."""

    def prepare(self, op: Operation, now_ms: int) -> Prepared | NotSent:
        """Check one operation, once."""

    def request(self, group: Group, read: Read) -> Request | None:
        """The call of a group; None when there is nothing to say to Klaviyo."""

    def cut(self, rows: Sequence[Row]) -> list[list[Row]]:
        """One profile's rows, or a bulk call's, in parts that one call may carry, one after the other."""

    def accepted(
        self, group: Group, reply: Reply | None, settled: Sequence[Settled]
    ) -> tuple[list[Settled], Mapping[bytes, bytes | None]]:
        """What a success (or, without a reply, nothing to say) means for each row, and what to remember."""


@dataclass(frozen=True, slots=True)
class Sorted:
    """Rows in groups, each for one call, no profile in two. ``later`` wait behind those of their profile.

    ``held`` wait until other calls are over; they are looked at again after ``held_s``.
    """

    parts: list[list[Row]]
    later: list[Row]
    held: list[Row] = field(default_factory=list)
    held_s: float = HOLD_S


@dataclass(frozen=True, slots=True)
class Learned:
    """What a question was answered. ``stay``: the group goes on as it is, else its rows are sorted anew.

    ``wait_s``: it goes on after so many seconds, for Klaviyo has work of its own to do.
    """

    changes: Mapping[bytes, bytes | None] = field(default_factory=dict)
    ended: Sequence[Settled] = ()
    stay: bool = False
    wait_s: float = 0.0
    mends: bool = False
    """What was refused comes of what was believed here, and is asked anew: no reason to stop the lane."""
    unsaid: int = 0
    """Profiles that were imported for the first time, which Klaviyo does not say are new."""


@runtime_checkable
class Refused(Family, Protocol):
    """A family that may know better what to do with rows that were refused."""

    def rejected(self, ends: Sequence[Settled]) -> tuple[list[Settled], Mapping[bytes, bytes | None]]:
        """Which of these are ends, and what to remember; the others go again, as they are now."""


@runtime_checkable
class Asking(Refused, Protocol):
    """A family with questions before or after the call itself.

    A question is a request that ``asks``: its success ends no row.
    """

    @property
    def budgets(self) -> tuple[str, ...]:
        """Budgets of all its calls."""

    def learned(self, group: Group, reply: Reply, now_ms: int) -> Learned:
        """What the answer to a question says."""


@runtime_checkable
class Sorting(Asking, Protocol):
    """A family whose rows need different calls."""

    def sort(self, rows: Sequence[Row], read: Read, now_ms: int) -> Sorted:
        """All rows taken of some profiles, by what each needs next; what that is, the row remembers."""


@runtime_checkable
class Patient(Asking, Protocol):
    """A family whose rows may wait for work that Klaviyo does by and by: a merge, an import job."""

    def refused(self, group: Group, reply: Reply, now_ms: int) -> Learned | None:
        """What a failure of a call means for the group; None: what the table of answers says."""


@runtime_checkable
class Intending(Family, Protocol):
    """A family that leaves word of a call before it leaves."""

    def intends(self, group: Group, now_ms: int) -> Mapping[bytes, bytes | None]:
        """What is written with the call's intent; every lane of the account sees it at once."""


@runtime_checkable
class Remembering(Family, Protocol):
    """A family of which something counts though Klaviyo is never told."""

    def given_up(self, ends: Sequence[Settled], read: Read) -> Mapping[bytes, bytes | None]:
        """What to remember of rows that waited too long."""


@runtime_checkable
class Guarded(Protocol):
    """A family that counts who leaves lists."""

    @property
    def guard(self) -> Guard:
        """Its counts."""


@runtime_checkable
class Importing(Family, Protocol):
    """A family whose bulk call is a job: worth its while above a backlog of ``even`` rows."""

    @property
    def most(self) -> int:
        """Rows in one job."""

    @property
    def even(self) -> int:
        """Rows up to which single calls do."""

    def fits(self, row: Row) -> bool:
        """Whether a job can carry the row."""


def payload_of(op: Operation) -> dict[str, Any] | NotSent:
    """The operation's payload."""
    try:
        payload = orjson.loads(op["payload"])
    except orjson.JSONDecodeError as error:
        return NotSent(Reason.UNREADABLE, f"the payload is not JSON: {error}")
    return (
        payload if isinstance(payload, dict) else NotSent(Reason.UNREADABLE, "the payload is not an object")
    )
