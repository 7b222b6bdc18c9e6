"""Merges and erasures: one person at a time, once no call of theirs is open in any lane."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

import orjson

from streams.deliver import notices
from streams.deliver.addresses import addresses_key
from streams.deliver.family import Learned, NotSent, Prepared, Read, Sorted, payload_of
from streams.deliver.occupancy import Occupancy
from streams.deliver.profiles import conflicts
from streams.deliver.profiles.family import klaviyo_id_key
from streams.deliver.profiles.importing import traits_key
from streams.deliver.profiles.traits import joined
from streams.deliver.row import Group, Row, Settled, by_profile
from streams.klaviyo import audience, erasure, limits, merging, replies, requests
from streams.klaviyo.budgets import ERASE, MERGE, PROFILE_GET
from streams.klaviyo.operation import Operation
from streams.klaviyo.replies import Accepted, Rejected, RejectedWhole, Reply
from streams.klaviyo.requests import Request
from streams.ledger.reasons import Outcome, Reason
from streams.segment.envelope import Profile

_FIELDS: Final = ("email", "external_id", "phone_number", "id")
_ROUNDS: Final = 8
"""So often a merge that Klaviyo refuses is looked into again."""


@dataclass(slots=True)
class Ready:
    """One merge or erasure. ``people``: identifiers of those it is about, the one that stays first."""

    people: list[dict[str, str]]
    loser: Profile | None = None
    step: Literal["ask", "merge", "erase", "same", "nobody"] = "ask"
    asks: list[tuple[str, list[str]]] | None = None
    """What is still to be looked up; None before it is known."""
    asked_after: int = 0
    found: dict[tuple[str, str], str] = field(default_factory=dict)
    """Identifier → the profile that holds it."""
    into: str = ""
    sources: list[str] = field(default_factory=list)
    rounds: int = 0
    state: dict[bytes, bytes] = field(default_factory=dict)
    """What the state says from when the merge leaves on."""


@dataclass(slots=True)
class Admin:
    """The admin family."""

    occupancy: Occupancy
    name: str = notices.FAMILY
    single: str = MERGE
    bulk: str | None = None
    each: int = 1
    budgets: tuple[str, ...] = (MERGE, ERASE, PROFILE_GET)

    def prepare(self, op: Operation, now_ms: int) -> Prepared | NotSent:
        """Check one operation."""
        payload = payload_of(op)
        if isinstance(payload, NotSent):
            return payload
        who = _known(op["profile"])
        if op["kind"] == "erase":
            return Prepared(Ready([who]), len(op["payload"]))
        if op["kind"] != "merge":
            return NotSent(Reason.UNSUPPORTED, f"{op['kind']} is neither a merge nor an erasure")
        loser = payload.get("loser")
        if not isinstance(loser, dict) or not isinstance(loser.get("id"), str):
            return NotSent(Reason.UNREADABLE, "a merge that does not say of whom")
        given: dict[str, Any] = {"email": None, "phone": None, "user_id": None, "anonymous_ids": []}
        lost = cast("Profile", given | loser)
        return Prepared(Ready([who, _known(lost)], lost), len(op["payload"]))

    def cut(self, rows: Sequence[Row]) -> list[list[Row]]:
        """Rows are sorted instead."""
        return [list(rows)]

    def sort(self, rows: Sequence[Row], read: Read, now_ms: int) -> Sorted:
        """One operation of each profile; what changes anything waits until nobody speaks of its people."""
        found = Sorted([], [])
        for own in by_profile(rows):
            row, *later = own
            self._next(row, read)
            if row.ready.step in ("merge", "erase", "same") and self._busy(row):
                found.held.append(row)
            else:
                found.parts.append([row])
            found.later.extend(later)
        # behind one that is held the others of its profile are held, too
        held = {row.who for row in found.held}
        found.held.extend(row for row in found.later if row.who in held)
        found.later[:] = [row for row in found.later if row.who not in held]
        return found

    def _busy(self, row: Row) -> bool:
        ids = [row.who, *([row.ready.loser["id"]] if row.ready.loser else [])]
        mine = self.occupancy.lanes.get(self.name)
        busy = any(self.occupancy.busy(who, besides=self.name) for who in ids)
        busy = busy or (mine is not None and any(mine(who) for who in ids[1:]))
        for who in ids:
            if busy:
                self.occupancy.claim(who)
        return busy

    def _next(self, row: Row, read: Read) -> None:
        """What the row needs next."""
        ready: Ready = row.ready
        if row.op["kind"] == "erase" and ready.people[0].keys() & {"email", "phone_number"}:
            ready.step = "erase"
            return
        if ready.asks is None or row.attempts != ready.asked_after:
            self._ask(row, read)
        if ready.asks:
            ready.step = "ask"
            return
        ids = _canonical(ready)
        if row.op["kind"] == "erase":
            ready.step, ready.into = ("erase", ids[0]) if ids else ("nobody", "")
        elif len(ids) < 2:
            ready.step, ready.into = "same", ids[0] if ids else ""
        else:
            ready.step, ready.into, ready.sources = "merge", ids[0], ids[1:]

    @staticmethod
    def _ask(row: Row, read: Read) -> None:
        ready: Ready = row.ready
        people = [row.who, *([ready.loser["id"]] if ready.loser else [])]
        for who, profile_id in zip(ready.people, people, strict=True):
            if (klaviyo_id := read(klaviyo_id_key(profile_id))) is not None:
                who["id"] = klaviyo_id.decode()
        ready.found.clear()
        ready.asked_after = row.attempts
        values = {name: dict.fromkeys(w[name] for w in ready.people if name in w) for name in _FIELDS}
        ready.asks = [(name, list(given)) for name, given in values.items() if given]

    def request(self, group: Group, read: Read) -> Request | None:
        """A look-up, a merge of one source, an erasure; None when Klaviyo has nothing to do."""
        row = group.rows[0]
        ready: Ready = row.ready
        if ready.step in ("merge", "erase") and self._busy(row):
            # it waited for its budget, and another lane began a call: it is sorted anew behind a look-up
            ready.step = "ask"
            self._ask(row, read)
        match ready.step:
            case "ask" if ready.asks:
                return audience.find_profiles(*ready.asks[0])
            case "merge":
                into, source = conflicts.directed(ready.into, ready.sources[0], read)
                ready.into, ready.sources[0] = into, source
                ready.state = _together(group, read)
                return merging.merge(into, source)
            case "erase":
                who = ready.people[0] if not ready.into else {"id": ready.into}
                return erasure.erase(who)
            case "same":
                ready.state = _together(group, read)
                return None
            case _:
                return None

    def intends(self, group: Group, now_ms: int) -> Mapping[bytes, bytes | None]:
        """From now on the loser's rows go under the winner's name; what was accepted before is not sent."""
        row = group.rows[0]
        ready: Ready = row.ready
        if ready.step == "erase":
            self.occupancy.release(row.who)
            gone = (traits_key(row.who), klaviyo_id_key(row.who), addresses_key(row.who))
            return {**notices.tombstones(row.op), **dict.fromkeys(gone)}
        if ready.step == "merge":
            self._let_go(row)
            pair = conflicts.pair_key(ready.into, ready.sources[0])
            return {pair: conflicts.pair_form(ready.into, now_ms), **ready.state}
        return {}

    def _let_go(self, row: Row) -> None:
        for who in (row.who, *([row.ready.loser["id"]] if row.ready.loser else [])):
            self.occupancy.release(who)

    def learned(self, group: Group, reply: Reply, now_ms: int) -> Learned:
        """Who holds what; or a merge was queued: Klaviyo works on it by and by."""
        row = group.rows[0]
        ready: Ready = row.ready
        data = reply.verdict.data if isinstance(reply.verdict, Accepted) else None
        if ready.step == "merge":
            del ready.sources[0]
            if ready.sources:
                return Learned(stay=True)
            row.attempts += 1
            return Learned(_known_as(row), [Settled(row, Outcome.DELIVERED, Reason.ACCEPTED)])
        if ready.asks:
            name, values = ready.asks.pop(0)
            wanted = {audience.same(name, value) for value in values}
            for klaviyo_id, attributes in audience.resources(data):
                held = klaviyo_id if name == "id" else audience.same(name, attributes.get(name))
                weak = name in ("phone_number", "id")
                if held in wanted and not (weak and conflicts.foreign(attributes, *ready.people)):
                    ready.found[name, held] = klaviyo_id
        return Learned(stay=bool(ready.asks))

    def refused(self, group: Group, reply: Reply, now_ms: int) -> Learned | None:
        """A merge is refused when one side is gone: both are looked up again."""
        row = group.rows[0]
        ready: Ready = row.ready
        refusal = isinstance(reply.verdict, replies.Conflict | Rejected | RejectedWhole)
        if ready.step != "merge" or not refusal or ready.rounds >= _ROUNDS:
            return None
        ready.rounds += 1
        row.attempts += 1
        ready.step, ready.asks = "ask", None
        return Learned()

    def accepted(
        self, group: Group, reply: Reply | None, settled: Sequence[Settled]
    ) -> tuple[list[Settled], dict[bytes, bytes]]:
        """An erasure was taken; or there was nothing to do at Klaviyo, and still the others must know."""
        row = group.rows[0]
        match row.ready.step:
            case "same":
                self._let_go(row)
                return [Settled(row, Outcome.UNCHANGED, Reason.SAME_PROFILE)], _known_as(
                    row
                ) | row.ready.state
            case "nobody":
                return [Settled(row, Outcome.UNCHANGED, Reason.NO_PROFILE)], notices.tombstones(row.op)
            case _:
                return list(settled), {}

    def rejected(self, ends: Sequence[Settled]) -> tuple[list[Settled], Mapping[bytes, bytes | None]]:
        """Nothing to add."""
        return list(ends), {}


def _known(profile: Profile) -> dict[str, str]:
    """Identifiers that can be looked up."""
    found = limits.profile(requests.identifiers(profile), {})
    return {} if isinstance(found, limits.Refused) else dict(found.who)


def _canonical(ready: Ready) -> list[str]:
    """Klaviyo's profiles of these people, the one that stays first: the address's holder."""
    ids = [
        ready.found.get((name, audience.same(name, who[name])))
        for name in _FIELDS
        for who in ready.people
        if name in who
    ]
    return list(dict.fromkeys(found for found in ids if found is not None))


def _known_as(row: Row) -> dict[bytes, bytes]:
    """Both have the id of the profile that stays."""
    ready: Ready = row.ready
    if not ready.into or ready.loser is None:
        return {}
    return dict.fromkeys((klaviyo_id_key(row.who), klaviyo_id_key(ready.loser["id"])), ready.into.encode())


def _together(group: Group, read: Read) -> dict[bytes, bytes]:
    """Two of our profiles as one: whose past counts, where the loser's rows go, the attributes of both.

    What stands under a name of its own (membership, consent, once-marks) stays there and is read with the
    winner's; attributes become one state, as Klaviyo makes of two profiles one.
    """
    row = group.rows[0]
    if row.ready.loser is None or row.ready.loser["id"] == row.who:
        return {}
    loser = row.ready.loser["id"]
    changes = notices.merged(row.who, loser, row.op["profile"], group.at_ms, read)
    own, lost = (orjson.loads(read(traits_key(who)) or b"{}") for who in (row.who, loser))
    if lost:
        changes |= {traits_key(row.who): orjson.dumps(joined(own, lost)), traits_key(loser): b"{}"}
    return changes
