"""What is set only once is looked for at Klaviyo first: somebody else may have set it before this line did.

A profile is asked about while its state does not know the name: what Klaviyo shows, or is then sent, stands
there with the update's end. Nothing is written before, so that a successor asks again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

from streams.deliver.family import Read
from streams.deliver.profiles.importing import traits_key
from streams.deliver.row import Group, Row, by_profile
from streams.klaviyo import audience
from streams.klaviyo.replies import Accepted, Reply
from streams.klaviyo.requests import Request

_BY: Final = ("email", "external_id", "phone_number")
"""Whom one identifier does not find, the next one may: all of them are Klaviyo's to go by."""


@dataclass(slots=True)
class Looking:
    """A group's questions. ``fresh``: rows of which no call had left before them."""

    fresh: list[Row]
    waiting: dict[str, list[list[Row]]] = field(default_factory=lambda: {name: [] for name in _BY})
    """Identifier → people to be asked for by it, each with their rows."""
    by: str = ""
    asked: list[list[Row]] = field(default_factory=list)

    def request(self) -> Request | None:
        """The next page of people; None when all were asked for."""
        self.by = next((name for name in _BY if self.waiting[name]), "")
        if not self.by:
            return None
        values = next(audience.pages(_who(own)[self.by] for own in self.waiting[self.by]))
        self.asked = self.waiting[self.by][: len(values)]
        return audience.find_properties(self.by, *values)

    def answered(self, reply: Reply) -> None:
        """Klaviyo showed who of a page is there, and what they have."""
        verdict = reply.verdict
        data, more = (verdict.data, verdict.next) if isinstance(verdict, Accepted) else ((), None)
        found = audience.by_identifier(self.by, data)
        shown = [own for own in self.asked if audience.same(self.by, _who(own)[self.by]) in found]
        left = [own for own in self.asked if own not in shown]
        again = left if more is not None and shown else []  # they may be on a page that was not read
        self.waiting[self.by][: len(self.asked)] = again
        for own in shown:
            _, attributes = found[audience.same(self.by, _who(own)[self.by])]
            self.ask(own, (), attributes.get("properties") or {})
        for own in left if not again else ():
            self.ask(own, _BY[_BY.index(self.by) + 1 :], {})
        for row in self.fresh:
            row.ready.read_after = row.attempts  # a question does nothing that would have to be read back

    def ask(self, own: list[Row], left: Sequence[str], properties: Mapping[str, Any]) -> None:
        """Ask for the person by the next identifier, if there is one; else it is known what they have."""
        if (by := next((name for name in left if name in _who(own)), None)) is not None:
            self.waiting[by].append(own)
            return
        for row in own:
            update = row.ready.update
            there = {name: value for name, value in update.once.items() if properties.get(name) is not None}
            once = {name: value for name, value in update.once.items() if name not in there}
            row.ready.update = replace(update, once=once, present=tuple(there))
            row.ready.looked = True


def look(group: Group, read: Read) -> Request | None:
    """What is to be asked before the group's call; None when nothing is, or no more."""
    if not isinstance(group.step, Looking):
        rows = [row for row in group.rows if row.ready.update.once and not row.ready.looked]
        people = [own for own in by_profile(rows) if _unknown(own, read)]
        if not people:
            return None
        group.step = Looking([row for row in group.rows if not row.tried])
        for own in people:
            group.step.ask(own, _BY, {})
    request: Request | None = group.step.request()
    if request is None:
        group.step = None
    return request


def _unknown(own: Sequence[Row], read: Read) -> bool:
    state = orjson.loads(read(traits_key(own[0].person)) or b"{}")
    return any(f"properties.{name}" not in state for row in own for name in row.ready.update.once)


def _who(own: Sequence[Row]) -> dict[str, str]:
    who: dict[str, str] = own[-1].ready.update.who
    return who
