"""Lists: adds and removes by the thousand, of opposites the newest, by Klaviyo's own ids."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from streams.deliver import addresses, notices, numbers
from streams.deliver.family import HOLD_S, Learned, NotSent, Prepared, Read, Sorted, payload_of
from streams.deliver.lists import audiences, lookups, membership
from streams.deliver.lists.guard import Guard
from streams.deliver.lists.membership import Ready, Step
from streams.deliver.lists.naming import Naming
from streams.deliver.profiles.family import klaviyo_id_key
from streams.deliver.row import Group, Row, Settled, by_profile
from streams.klaviyo import audience, requests
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
from streams.klaviyo.replies import Accepted, Conflict, Reply, Stopped
from streams.klaviyo.requests import Request
from streams.ledger.reasons import Outcome, Reason

_LOOKED_UP_BY: Final = ("email", "phone_number", "external_id")


@dataclass(slots=True)
class Lists:
    """The lists family; one instance a lane. ``create``: make lists that Klaviyo does not have."""

    create: bool = False
    guard: Guard = field(default_factory=Guard)
    naming: Naming = field(default_factory=Naming)
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
        found = audiences.identified(op)
        if isinstance(found, NotSent):
            return found
        by = next((name, found.who[name]) for name in _LOOKED_UP_BY if name in found.who)
        return Prepared(
            Ready(ref.strip(), op["kind"] == "list_add", found.who, by), len(op["payload"]), found.ignored
        )

    def cut(self, rows: Sequence[Row]) -> list[list[Row]]:
        """Rows are sorted instead."""
        return [list(rows)]

    def sort(self, rows: Sequence[Row], read: Read, now_ms: int) -> Sorted:
        """Of each profile the operations of one list: what is superseded ends first, then the newest goes."""
        going: list[Row] = []
        later: list[Row] = []
        held: list[Row] = []
        held_s = HOLD_S
        turn = self.naming.begin()
        for own in by_profile(rows):
            chosen = [row for row in own if row.ready.list == own[0].ready.list]
            newest = max(chosen, key=lambda row: (lookups.event_time(row), chosen.index(row)))
            if len(chosen) > 1:
                chosen.remove(newest)
                newest.ready.turn = max(newest.ready.turn, *(row.ready.turn for row in chosen))
                for row in chosen:
                    row.ready.step = "superseded"
            else:
                self._next(newest, turn, read, now_ms)
            later += [row for row in own if row not in chosen]
            if chosen[0].ready.step == "held":
                held += chosen
                held_s = max(held_s, self.naming.wait_s(newest.ready.list, now_ms))
            else:
                going += chosen
        return Sorted(audiences.parts(going, membership.part, membership.cut), later, held, held_s)

    def _next(self, row: Row, turn: int, read: Read, now_ms: int) -> None:
        """What the row needs next."""
        ready: Ready = row.ready
        known = lookups.known_list(ready.list, read, now_ms)
        if known is None:
            asks = self.naming.asks(ready.list, ready.turn, read, now_ms)
            ready.step, ready.turn = (ready.list_step, turn) if asks else ("held", 0)
            return
        ready.list_id, ready.list_step = known.id, "name"
        time = ready.time = lookups.event_time(row)
        before = lookups.newest_membership(known.id, ready.list, row.person, read)
        if before is not None and before[1] <= notices.erased_at(row.person, read):
            before = None
        klaviyo_id = read(klaviyo_id_key(row.person))
        if before is not None and time < before[1]:
            ready.step = "superseded"
        elif before is not None and before[0] == ready.add and self._told(row, known.id, read):
            ready.step = "same"
        elif klaviyo_id is not None:
            ready.klaviyo_id = klaviyo_id.decode()
            ready.step = "change" if ready.add or ready.counted else self._guarded(ready, now_ms)
        else:
            ready.step = "import" if ready.unknown else "who"

    @staticmethod
    def _told(row: Row, list_id: str, read: Read) -> bool:
        """Whether Klaviyo was told under this very name: what a merge made of two, nobody knows."""
        own = lookups.own_membership(list_id, row.person, read)
        return own is not None and own[0] == row.ready.add

    def _guarded(self, ready: Ready, now_ms: int) -> Step:
        match audiences.leave(self.guard, ready.list_id, now_ms):
            case "go":
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
            case "name" | "id" | "create":
                return audiences.ask_for_list(group, self.naming)
            case "who":
                return audience.find_profiles(ready.by[0], [row.ready.by[1] for row in group.rows])
            case "import":
                who = addresses.newest(ready.who, group.rows[0], addresses.known(group.rows[0], read))
                return replace(requests.profile_import(who, {}), asks=True)
            case "size":
                return audience.list_size(ready.list_id)
            case "change":
                return self._change(group.rows)
            case _:
                return None

    def intends(self, group: Group, now_ms: int) -> Mapping[bytes, bytes | None]:
        """A list that is about to be made must not be made by a successor at once."""
        return audiences.making(group, now_ms)

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
            audiences.sized(self.guard, ready.list_id, data, now_ms)
            return Learned()
        found = {
            who: klaviyo_id for who, (klaviyo_id, _) in audience.by_identifier(ready.by[0], data).items()
        }
        if ready.step == "import":
            found = {audience.same(*ready.by): klaviyo_id for klaviyo_id, _ in audience.resources(data)}
        unread = audiences.unread(reply, group.rows, found)
        changes: dict[bytes, bytes | None] = {}
        for row in group.rows:
            klaviyo_id = found.get(audience.same(*row.ready.by))
            row.ready.unknown = klaviyo_id is None and row not in unread
            if klaviyo_id is not None:
                changes[klaviyo_id_key(row.person)] = klaviyo_id.encode()
        return Learned(changes)

    def _about_list(self, group: Group, data: object, now_ms: int) -> Learned:
        learned = audiences.about_list(
            group, data, now_ms, self.naming, create=self.create, joins=lambda row: row.ready.add
        )
        changes = dict(learned.changes)
        for row in (end.row for end in learned.ended if end.outcome == Outcome.UNCHANGED):
            off = lookups.member_form(lookups.event_time(row), on=False)
            changes[lookups.member_key(row.ready.list, row.person)] = off
        return replace(learned, changes=changes)

    def refused(self, group: Group, reply: Reply, now_ms: int) -> Learned | None:
        """The identifiers of somebody who was to be made known conflict: another profile has them."""
        row = group.rows[0]
        ready: Ready = row.ready
        verdict = reply.verdict
        if ready.step in ("change", "size"):
            learned = lookups.gone(reply, ready.list, ready.list_id, asked=ready.looked_anew)
            for each in group.rows:
                each.ready.looked_anew |= learned is not None
            return learned
        if isinstance(verdict, Stopped):
            self.naming.over(ready.list, ready.turn)
        if ready.step != "import" or not isinstance(verdict, Conflict):
            return None
        if "phone_number" in ready.who and ready.by[0] != "phone_number":
            # the number may be somebody else's: families share one
            ready.who = {name: text for name, text in ready.who.items() if name != "phone_number"}
            row.ignored += ("phone_number",)
            row.attempts += 1
            return Learned()
        if verdict.klaviyo_id is None:
            return None
        row.attempts += 1
        return Learned({klaviyo_id_key(row.person): verdict.klaviyo_id.encode()})

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
        for end in numbers.over(self, ends):
            ready: Ready = end.row.ready
            self.naming.over(ready.list, ready.turn)
            if ready.step == "change":
                stale[klaviyo_id_key(end.row.person)] = None
            if ready.step == "change" and end.reason == Reason.REJECTED and not ready.renewed:
                ready.renewed = True
            else:
                over.append(end)
        return over, stale
