"""A space in memory: events go in one by one, as identify takes them from its batches."""

from typing import Any, cast

from streams.identify.people import Person, View
from streams.identify.resolve import Policy, resolve, shown
from streams.segment.envelope import Identity


def event(**given: Any) -> Identity:
    """One event; ids left out are absent, times are in milliseconds."""
    empty = dict.fromkeys(("event_id", "name", "user_id", "anonymous_id", "email", "phone", "country"), "")
    empty |= {"previous_id": "", "type": "track", "space": "acme", "source": "web", "trace_id": ""}
    return cast("Identity", {"uid": b"", "accepted_at": 10_000, "time": 0} | empty | given)


class World:
    """State between batches of one event each, so that everything goes through its bytes."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.state: dict[bytes, bytes] = {}
        self.policy = policy or Policy()
        self.rank = 0

    def sees(self, **given: Any) -> Person | None:
        """Take one event; who it belongs to."""
        found = event(**given)
        view = self.view()
        person = resolve(found, shown(found, self.policy), self.rank, view, self.policy)
        self.rank += 1
        self.state |= view.changes()
        return person

    def view(self) -> View:
        """What the next batch would see."""
        return View(self.state.get)

    def owner(self, identifier: str) -> Person | None:
        """Whom a strong identifier leads to now."""
        return self.view().owner(identifier)

    def phones(self, *identifiers: str) -> list[str | None]:
        """The numbers of those to whom strong identifiers lead."""
        return [owner.phone if (owner := self.owner(identifier)) else None for identifier in identifiers]
