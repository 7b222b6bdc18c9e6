"""How many profiles are new at Klaviyo, by account and UTC day: contacts cost money.

What is known is what the answers say. A single profile import says it exactly: 201 is a new profile, 200 one
that was there (``created``). An import job says nothing of it: a profile that this line imports for the first
time counts as ``unsaid``, it may be new or not, so that both together are the most that can have come by
profile updates and lists. Events and consents may make profiles, too, are answered 202 and are not counted.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import orjson

from streams.klaviyo.budgets import PROFILE_IMPORT
from streams.klaviyo.replies import Accepted, Reply
from streams.klaviyo.requests import Request

PREFIX: Final = b"n/"
DAY_MS: Final = 86_400_000
KEPT_DAYS: Final = 31
_TOLD: Final = "told"
"""Behind a lane: it raised that day's alarm."""


@dataclass(slots=True)
class New:
    """Profiles of one day."""

    created: int = 0
    unsaid: int = 0

    @property
    def most(self) -> int:
        """So many at most."""
        return self.created + self.unsaid


def created(request: Request, reply: Reply) -> bool:
    """Whether the answer says that the call made a profile."""
    made = reply.status == 201 and isinstance(reply.verdict, Accepted)
    return made and request.budget == PROFILE_IMPORT


@dataclass(slots=True)
class Newcomers:
    """The counts of one account. Mutable; each lane writes its own, so that none overwrites another's."""

    _days: dict[tuple[int, str], New] = field(default_factory=dict)
    _unsaved: set[tuple[int, str]] = field(default_factory=set)

    def count(self, lane: str, now_ms: int, *, created: int = 0, unsaid: int = 0) -> None:
        """Some more, by that lane."""
        if created or unsaid:
            at = (now_ms // DAY_MS, lane)
            new = self._days.setdefault(at, New())
            new.created += created
            new.unsaid += unsaid
            self._unsaved.add(at)

    def of_day(self, now_ms: int) -> New:
        """All lanes' of the UTC day."""
        found = New()
        for at, new in self._days.items():
            if at[0] == now_ms // DAY_MS:
                found.created += new.created
                found.unsaid += new.unsaid
        return found

    def over(self, threshold: int | None, lane: str, now_ms: int) -> bool:
        """Whether there are more today than there should be and nobody was told yet; now somebody is.

        ``lane`` is the one that writes it down.
        """
        at = (now_ms // DAY_MS, f"{lane}/{_TOLD}")
        if threshold is None or at in self._days or self.of_day(now_ms).most <= threshold:
            return False
        self._days[at] = New()
        self._unsaved.add(at)
        return True

    def unsaved(self, lane: str, now_ms: int) -> dict[bytes, bytes | None]:
        """What changed in a lane since it was asked last, for the state; days long ago go."""
        changes: dict[bytes, bytes | None] = {}
        mine = {at for at in self._unsaved if at[1].partition("/")[0] == lane}
        self._unsaved -= mine
        for at in mine:
            new = self._days[at]
            changes[_key(*at)] = orjson.dumps([new.created, new.unsaid])
        for at in [at for at in self._days if at[0] < now_ms // DAY_MS - KEPT_DAYS]:
            del self._days[at]
            changes[_key(*at)] = None
        return changes

    def restore(self, entries: Iterable[tuple[bytes, bytes]]) -> None:
        """Read what a former owner counted."""
        for key, value in entries:
            _, day, lane = key.decode().split("/", 2)
            self._days[int(day), lane] = New(*orjson.loads(value))


def _key(day: int, lane: str) -> bytes:
    return PREFIX + f"{day}/{lane}".encode()
