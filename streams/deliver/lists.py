"""Lists: adds and removes by the thousand, of opposites the newest, by Klaviyo's own ids."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from streams.deliver import lookups, notices
from streams.deliver.family import Learned, NotSent, Prepared, Read, Sorted, payload_of
from streams.deliver.guard import Guard
from streams.deliver.profiles import klaviyo_id_key
from streams.deliver.row import Group, Row, Settled
from streams.klaviyo import audience, limits, requests
from streams.klaviyo.budgets import (
    LIST_ADD,
    LIST_CREATE,
    LIST_GET,
    LIST_REMOVE,
    LIST_SIZE,
    PROFILE_GET,
    PROFILE_IMPORT,
)
from streams.klaviyo.operation import Operation
from streams.klaviyo.replies import Accepted, Reply
from streams.klaviyo.requests import Request
from streams.ledger.reasons import Outcome, Reason

Step = Literal["name", "id", "create", "who", "import", "size", "change", "superseded", "same", "held"]
_LOOKED_UP_BY: Final = ("email", "phone_number", "external_id")


@dataclass(slots=True)
class Ready:
    """One add or remove, and what it needs next. ``by``: the identifier it is looked up by."""

    list: str
    add: bool
    who: dict[str, str]
    by: tuple[str, str]
    step: Step = "name"
    list_step: Step = "name"
    list_id: str = ""
    klaviyo_id: str = ""
    renewed: bool = False
    """Klaviyo did not take the id that was remembered."""
    unknown: bool = False
    """Klaviyo was asked for the profile and had none."""
    named_after: int = 0
    """How many attempts there had been when the list's name was looked up."""
    counted: bool = False
    """The guard knows that it leaves."""
    time: int = 0
    """Of the newest event that the membership reflects."""


@dataclass(slots=True)
class Lists:
    """The lists family; one instance a lane. ``create``: make lists that Klaviyo does not have."""

    create: bool = False
    guard: Guard = field(default_factory=Guard)
    name: str = "lists"
    single: str = LIST_ADD
    bulk: str | None = None
    each: int = 1
    budgets: tuple[str, ...] = (
        LIST_ADD,
        LIST_REMOVE,
        LIST_CREATE,
        LIST_GET,
        LIST_SIZE,
        PROFILE_GET,
        PROFILE_IMPORT,
    )
    _creators: dict[str, Row] = field(default_factory=dict)
    """List → the row in whose name it is created: two calls would make two lists."""

    def prepare(self, op: Operation, now_ms: int) -> Prepared | NotSent:
        """Check one operation."""
        if op["kind"] not in ("list_add", "list_remove"):
            return NotSent(Reason.UNSUPPORTED, f"{op['kind']} is nothing about lists")
        payload = payload_of(op)
        if isinstance(payload, NotSent):
            return payload
        ref = payload.get("list")
        if not isinstance(ref, str) or not ref.strip():
            return NotSent(Reason.REJECTED, f"not sent: no list, found {str(ref)[:200]!r}")
        found = limits.profile(requests.identifiers(op["profile"]), {})
        if isinstance(found, limits.Refused):
            return NotSent(Reason.REJECTED, f"not sent: {found.detail}")
        by = next((name, found.who[name]) for name in _LOOKED_UP_BY if name in found.who)
        return Prepared(
            Ready(ref.strip(), op["kind"] == "list_add", found.who, by), len(op["payload"]), found.ignored
        )

    def cut(self, rows: Sequence[Row]) -> list[list[Row]]:
        """Rows are sorted instead."""
        return [list(rows)]

    def sort(self, rows: Sequence[Row], read: Read, now_ms: int) -> Sorted:
        """Of each profile the operations of one list: what is superseded ends first, then the newest goes."""
        parts: dict[tuple[str, ...], list[Row]] = {}
        later: list[Row] = []
        held: list[Row] = []
        for own in lookups.by_profile(rows):
            chosen = [row for row in own if row.ready.list == own[0].ready.list]
            newest = max(chosen, key=lambda row: (lookups.event_time(row), chosen.index(row)))
            if len(chosen) > 1:
                chosen.remove(newest)
                for row in chosen:
                    row.ready.step = "superseded"
            else:
                self._next(newest, read, now_ms)
            later += [row for row in own if row not in chosen]
            if chosen[0].ready.step == "held":
                held += chosen
                continue
            for row in chosen:
                parts.setdefault(_part(row), []).append(row)
        return Sorted([part for rows in parts.values() for part in _cut(rows)], later, held)

    def _next(self, row: Row, read: Read, now_ms: int) -> None:
        """What the row needs next."""
        ready: Ready = row.ready
        known = lookups.known_list(ready.list, read, now_ms)
        if known is None:
            ready.step = ready.list_step
            return
        ready.list_id, ready.list_step = known.id, "name"
        time = ready.time = lookups.event_time(row)
        before = lookups.membership(known.id, row.person, read)
        if before is not None and before[1] <= notices.erased_at(row.person, read):
            before = None
        klaviyo_id = read(klaviyo_id_key(row.person))
        if before is not None and time < before[1]:
            ready.step = "superseded"
        elif before is not None and before[0] == ready.add:
            ready.step = "same"
        elif klaviyo_id is not None:
            ready.klaviyo_id = klaviyo_id.decode()
            ready.step = "change" if ready.add or ready.counted else self._guarded(ready, now_ms)
        else:
            ready.step = "import" if ready.unknown else "who"

    def _guarded(self, ready: Ready, now_ms: int) -> Step:
        match self.guard.verdict(ready.list_id, now_ms):
            case "go":
                self.guard.leaves(ready.list_id, now_ms)
                ready.counted = True
                return "change"
            case "size":
                return "size"
            case "stop":
                return "held"

    def request(self, group: Group, read: Read) -> Request | None:
        """The question or the call of a group; None when there is nothing to say to Klaviyo."""
        ready: Ready = group.rows[0].ready
        match ready.step:
            case "name" | "id":
                return audience.find_list(ready.step, ready.list)
            case "create":
                if not self._creates(group, read):
                    return audience.find_list("name", ready.list)
                return audience.create_list(ready.list)
            case "who":
                return audience.find_profiles(ready.by[0], [row.ready.by[1] for row in group.rows])
            case "import":
                return replace(requests.profile_import(ready.who, {}), asks=True)
            case "size":
                return audience.list_size(ready.list_id)
            case "change":
                return self._change(group.rows)
            case _:
                return None

    def _creates(self, group: Group, read: Read) -> bool:
        """Whether this group creates the list; after a failure its name is looked up first."""
        rows = group.rows
        if lookups.known_list(rows[0].ready.list, read, group.at_ms) is not None:
            return False
        creator = self._creators.setdefault(rows[0].ready.list, rows[0])
        return creator in rows and all(row.attempts == row.ready.named_after for row in rows)

    @staticmethod
    def _change(rows: Sequence[Row]) -> Request:
        """Two of our profiles may be one at Klaviyo: the id stands once."""
        places: dict[str, list[int]] = {}
        for number, row in enumerate(rows):
            places.setdefault(row.ready.klaviyo_id, []).append(number)
        layout = [tuple(numbers) for numbers in places.values()]
        ready: Ready = rows[0].ready
        return audience.change_members(ready.list_id, list(places), layout, add=ready.add)

    def learned(self, group: Group, reply: Reply, now_ms: int) -> Learned:
        """Remember lists and profiles."""
        data = reply.verdict.data if isinstance(reply.verdict, Accepted) else None
        ready: Ready = group.rows[0].ready
        if ready.step in ("name", "id", "create"):
            return self._about_list(group, data, now_ms)
        if ready.step == "size":
            for _, attributes in audience.resources(data):
                self.guard.sized(ready.list_id, int(attributes.get("profile_count") or 0), now_ms)
            return Learned()
        found = {
            audience.same(ready.by[0], attributes.get(ready.by[0])): klaviyo_id
            for klaviyo_id, attributes in audience.resources(data)
        }
        if ready.step == "import":
            found = {audience.same(*ready.by): klaviyo_id for klaviyo_id, _ in audience.resources(data)}
        changes: dict[bytes, bytes | None] = {}
        for row in group.rows:
            klaviyo_id = found.get(audience.same(*row.ready.by))
            row.ready.unknown = klaviyo_id is None
            if klaviyo_id is not None:
                changes[klaviyo_id_key(row.person)] = klaviyo_id.encode()
        return Learned(changes)

    def _about_list(self, group: Group, data: object, now_ms: int) -> Learned:
        learned = lookups.about_list(group, data, now_ms, create=self.create)
        if learned.changes:
            self._creators.pop(group.rows[0].ready.list, None)
        return learned

    def accepted(
        self, group: Group, reply: Reply | None, settled: Sequence[Settled]
    ) -> tuple[list[Settled], dict[bytes, bytes]]:
        """Remember who is on the list; an operation without a call is ``unchanged``."""
        changes: dict[bytes, bytes] = {}
        ends: list[Settled] = []
        for end in settled:
            ready: Ready = end.row.ready
            if ready.step == "superseded":
                ends.append(replace(end, outcome=Outcome.UNCHANGED, reason=Reason.SUPERSEDED))
                continue
            ends.append(end)
            key = lookups.member_key(ready.list_id, end.row.person)
            changes[key] = lookups.member_form(ready.time, on=ready.add)
        return ends, changes

    def rejected(self, ends: Sequence[Settled]) -> tuple[list[Settled], Mapping[bytes, bytes | None]]:
        """A profile's id may be gone, after a merge at Klaviyo say: it is looked up again, once."""
        over: list[Settled] = []
        stale: dict[bytes, bytes | None] = {}
        for end in ends:
            ready: Ready = end.row.ready
            if self._creators.get(ready.list) is end.row:
                del self._creators[ready.list]
            if ready.step == "change":
                stale[klaviyo_id_key(end.row.person)] = None
            if ready.step == "change" and end.reason == Reason.REJECTED and not ready.renewed:
                ready.renewed = True
            else:
                over.append(end)
        return over, stale


def _part(row: Row) -> tuple[str, ...]:
    """What the rows of one call have in common."""
    ready: Ready = row.ready
    match ready.step:
        case "name" | "id" | "create":
            return ready.step, ready.list
        case "who":
            return ready.step, ready.by[0]
        case "size":
            return ready.step, ready.list_id
        case "change":
            return ready.step, ready.list_id, str(ready.add)
        case _:
            return (ready.step,)


def _cut(rows: list[Row]) -> list[list[Row]]:
    """Rows in parts that one call may carry."""
    match rows[0].ready.step:
        case "who":
            return lookups.paged(rows, lambda row: row.ready.by[1])
        case "import":
            return [[row] for row in rows]
        case _:
            size = audience.MEMBERS
            return [rows[at : at + size] for at in range(0, len(rows), size)]
