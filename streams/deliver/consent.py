"""Consent: nobody is subscribed by anything older than the last no; Klaviyo is asked before it is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from streams.deliver import lookups, permission
from streams.deliver.family import Learned, NotSent, Prepared, Read, Sorted, payload_of
from streams.deliver.guard import Guard
from streams.deliver.permission import Mark, Word
from streams.deliver.row import Group, Row, Settled
from streams.klaviyo import audience, consents, limits, requests
from streams.klaviyo.budgets import (
    LIST_GET,
    LIST_SIZE,
    PROFILE_GET,
    SUBSCRIBE,
    SUPPRESS,
    UNSUBSCRIBE,
    UNSUPPRESS,
)
from streams.klaviyo.consents import Person
from streams.klaviyo.operation import Operation
from streams.klaviyo.replies import Accepted, Reply
from streams.klaviyo.requests import Request
from streams.ledger.reasons import Outcome, Reason

LIVE_MS: Final = 300_000
"""Consent older than this was given before: it is imported with its date."""
FRESH_MS: Final = 60_000
"""How long an answer about a person counts."""
_EMAIL: Final = "email.marketing"
_OBSERVED: Final = {"subscribed": "subscribe", "unsubscribed": "unsubscribe", "suppressed": "suppress"}
_SILENT: Final = {
    "superseded": (Outcome.UNCHANGED, Reason.SUPERSEDED),
    "same": (Outcome.UNCHANGED, Reason.SAME_VALUES),
    "not_member": (Outcome.UNCHANGED, Reason.NOT_MEMBER),
    "observed": (Outcome.UNCHANGED, Reason.OBSERVED),
    "refused": (Outcome.REFUSED, Reason.CONSENT),
}
"""Steps that end without a call."""


def consent_key(profile_id: str) -> bytes:
    """Where a profile's marks stand."""
    return b"c/" + profile_id.encode()


@dataclass(slots=True)
class Ready:
    """One operation, and what it needs next. ``by``: the identifier it is looked up by."""

    word: Word
    who: dict[str, str]
    by: tuple[str, str]
    list: str = ""
    observed: bool = False
    step: str = "name"
    list_step: str = "name"
    named_after: int = 0
    double_opt_in: bool = False
    known: Mapping[str, Mark] = field(default_factory=dict)
    """What the state holds."""
    marks: Mapping[str, Mark] = field(default_factory=dict)
    """The same with what waits."""
    asked_at: int = permission.NEVER
    asked_after: int = -1
    """How many attempts there had been when Klaviyo was asked about the person."""
    counted: bool = False
    """The guard knows that it leaves its list."""
    membership: tuple[bool, int] | None = None
    historical: bool = False

    @property
    def open(self) -> tuple[str, ...]:
        """The parts that may be sent."""
        return permission.open_parts(self.word, self.marks)

    def person(self) -> Person:
        """Whom the call is about; an identifier that no part needs could only do harm."""
        needed = {consents.NEEDS[part.partition(".")[0]] for part in self.open}
        who = {name: value for name, value in self.who.items() if name in needed}
        return Person(who, self.open, requests.iso(self.word.time) if self.historical else None)


@dataclass(slots=True)
class Consent:
    """The consent family."""

    guard: Guard = field(default_factory=Guard)
    name: str = "consent"
    single: str = SUBSCRIBE
    bulk: str | None = None
    each: int = 1
    budgets: tuple[str, ...] = (
        SUBSCRIBE,
        UNSUBSCRIBE,
        SUPPRESS,
        UNSUPPRESS,
        LIST_GET,
        LIST_SIZE,
        PROFILE_GET,
    )

    def prepare(self, op: Operation, now_ms: int) -> Prepared | NotSent:
        """Check one operation."""
        payload = payload_of(op)
        if isinstance(payload, NotSent):
            return payload
        if op["kind"] == "observed":
            return _observed(op, payload)
        found = limits.profile(requests.identifiers(op["profile"]), {})
        if isinstance(found, limits.Refused):
            return NotSent(Reason.REJECTED, f"not sent: {found.detail}")
        return _asked(op, payload, found.who)

    def cut(self, rows: Sequence[Row]) -> list[list[Row]]:
        """Rows are sorted instead."""
        return [list(rows)]

    def sort(self, rows: Sequence[Row], read: Read, now_ms: int) -> Sorted:
        """Of each profile what needs no call ends first, then one operation goes."""
        parts: dict[tuple[str, ...], list[Row]] = {}
        later: list[Row] = []
        held: list[Row] = []
        for own in lookups.by_profile(rows):
            chosen = _choose(own, read, now_ms)
            later += [row for row in own if row not in chosen]
            if self._stopped(chosen[0].ready, now_ms):
                held += chosen
                continue
            for row in chosen:
                parts.setdefault(_part(row), []).append(row)
        return Sorted([part for group in parts.values() for part in _cut(group)], later, held)

    def _stopped(self, ready: Ready, now_ms: int) -> bool:
        """Whether the guard lets nobody more leave the list."""
        list_id = ready.word.list_id
        if ready.step != "unsubscribe" or not list_id or ready.counted:
            return False
        match self.guard.verdict(list_id, now_ms):
            case "stop":
                return True
            case "size":
                ready.step = "size"
            case "go":
                self.guard.leaves(list_id, now_ms)
                ready.counted = True
        return False

    def request(self, group: Group, read: Read) -> Request | None:
        """The question or the call of a group; None when there is nothing to say to Klaviyo."""
        ready: Ready = group.rows[0].ready
        if asked := _outdated(group):
            values = [row.ready.by[1] for row in asked]
            if ready.step == "subscribe":
                return audience.find_profiles(ready.by[0], values, subscriptions=True)
            return audience.find_members(ready.word.list_id, ready.by[0], values)
        for row in group.rows:
            row.ready.membership = lookups.membership(row.ready.word.list_id, row.who, read)
        match ready.step:
            case "name" | "id":
                return audience.find_list(ready.step, ready.list)
            case "size":
                return audience.list_size(ready.word.list_id)
            case "subscribe":
                word = ready.word
                return consents.subscribe(
                    _people(group),
                    list_id=word.list_id,
                    historical=ready.historical,
                    custom_source=word.source,
                )
            case "unsubscribe":
                return consents.unsubscribe(_people(group), list_id=ready.word.list_id)
            case "suppress":
                return consents.suppress([row.ready.who["email"] for row in group.rows])
            case "unsuppress":
                return consents.unsuppress([row.ready.who["email"] for row in group.rows])
            case _:
                return None

    def learned(self, group: Group, reply: Reply, now_ms: int) -> Learned:
        """Remember lists and what Klaviyo knows of people; who must not be told about any more ends."""
        data = reply.verdict.data if isinstance(reply.verdict, Accepted) else None
        ready: Ready = group.rows[0].ready
        if ready.step in ("name", "id"):
            return lookups.about_list(group, data, now_ms, create=False)
        if ready.step == "size":
            for _, its in audience.resources(data):
                self.guard.sized(ready.word.list_id, int(its.get("profile_count") or 0), now_ms)
            return Learned()
        found = {
            audience.same(ready.by[0], attributes.get(ready.by[0])): attributes
            for _, attributes in audience.resources(data)
        }
        changes: dict[bytes, bytes | None] = {}
        ended: list[Settled] = []
        subscribes = ready.step == "subscribe"
        for row in _outdated(group):
            attributes = found.get(audience.same(*row.ready.by))
            row.ready.asked_at, row.ready.asked_after = now_ms, row.attempts
            if subscribes:
                step = _compare(row, (attributes or {}).get("subscriptions") or {}, now_ms)
                changes[consent_key(row.who)] = permission.form(row.ready.known)
            else:
                step = "unsubscribe" if attributes is not None else "not_member"
            if step in _SILENT:
                row.ready.step = step
                end, more = _end(Settled(row, *_SILENT[step]), row.ready.known)
                ended.append(end)
                changes |= more
        return Learned(changes, ended, stay=True)

    def accepted(
        self, group: Group, reply: Reply | None, settled: Sequence[Settled]
    ) -> tuple[list[Settled], dict[bytes, bytes]]:
        """Remember what was said."""
        changes: dict[bytes, bytes] = {}
        ends: list[Settled] = []
        for end in settled:
            who = consent_key(end.row.who)
            known = permission.read(changes[who]) if who in changes else end.row.ready.known
            over, more = _end(end, known)
            ends.append(over)
            changes |= more
        return ends, changes

    def rejected(self, ends: Sequence[Settled]) -> tuple[list[Settled], Mapping[bytes, bytes | None]]:
        """A no counts though Klaviyo did not take it; a yes that it finds outdated is refused."""
        over: list[Settled] = []
        changes: dict[bytes, bytes | None] = {}
        for end in ends:
            ready: Ready = end.row.ready
            if ready.step in ("name", "id"):
                over.append(end)
                continue
            marks = dict(ready.known)
            if ready.word.restricts:
                marks = permission.join(marks, permission.said(ready.word))
            if ready.historical and end.reason == Reason.REJECTED and "consented_at" in end.detail:
                no = Mark(no=ready.word.time, done=ready.word.time, source="klaviyo")
                marks = permission.join(marks, [(part, no) for part in ready.open])
                over.append(replace(end, outcome=Outcome.REFUSED, reason=Reason.CONSENT))
            else:
                over.append(end)
            changes[consent_key(end.row.who)] = permission.form(marks)
        return over, changes


def _asked(op: Operation, payload: Mapping[str, Any], who: dict[str, str]) -> Prepared | NotSent:
    """An operation that somebody wants."""
    kind = op["kind"]
    channels = _channels(payload)
    if kind in ("suppress", "unsuppress"):
        channels = {"email": ["marketing"]}
    asked = [(channel, name) for channel, names in channels.items() for name in names]
    parts = tuple(
        f"{channel}.{name}"
        for channel, name in asked
        if name in consents.KINDS.get(channel, ()) and consents.NEEDS[channel] in who
    )
    if not parts:
        return NotSent(Reason.REJECTED, f"not sent: no channel it can be said for, asked for {channels}")
    time = min(op["time"], op["origin"]["accepted_at"])
    if kind == "subscribe" and payload.get("consented_at"):
        given = permission.moment(payload["consented_at"])
        if given is None:
            return NotSent(Reason.REJECTED, f"not sent: consented_at is no date: {payload['consented_at']}")
        time = min(time, given)
    source = str(payload.get("custom_source") or "") if kind == "subscribe" else ""
    ref = str(payload.get("list") or "").strip() if kind in ("subscribe", "unsubscribe") else ""
    needed = {consents.NEEDS[part.partition(".")[0]] for part in parts}
    by = next((name, who[name]) for name in ("email", "phone_number") if name in needed)
    ignored = tuple(f"{channel}.{name}" for channel, name in asked if f"{channel}.{name}" not in parts)
    return Prepared(Ready(Word(kind, parts, time, source=source), who, by, ref), len(op["payload"]), ignored)


def _observed(op: Operation, payload: Mapping[str, Any]) -> Prepared | NotSent:
    """What Klaviyo says happened there: it only changes what is known."""
    kind = _OBSERVED.get(str(payload.get("status")))
    if kind is None:
        return NotSent(Reason.REJECTED, f"the status of consent is {payload.get('status')!r}")
    at = permission.moment(payload.get("at"))
    time = min(op["time"] if at is None else at, op["origin"]["accepted_at"])
    names = _channels(payload).items()
    parts = tuple(f"{channel}.{name}" for channel, kinds in names for name in kinds)
    word = Word(kind, parts or (_EMAIL,), time, str(payload.get("list") or ""), "klaviyo")
    return Prepared(Ready(word, {}, ("", ""), observed=True), len(op["payload"]))


def _people(group: Group) -> list[Person]:
    return [row.ready.person() for row in group.rows]


def _channels(payload: Mapping[str, Any]) -> dict[str, list[str]]:
    given = payload.get("channels")
    if not isinstance(given, Mapping):
        return {"email": ["marketing"]}
    return {
        str(channel): [str(name) for name in names] if isinstance(names, list) else ["marketing"]
        for channel, names in given.items()
    }


def _choose(own: Sequence[Row], read: Read, now_ms: int) -> list[Row]:
    """Of one profile's rows those that end without a call; else the first, with what it needs next."""
    for row in own:
        ready: Ready = row.ready
        if ready.list:
            found = lookups.known_list(ready.list, read, now_ms)
            if found is None:
                ready.step = ready.list_step
                return [row]
            ready.list_step, ready.double_opt_in = "name", found.double_opt_in
            ready.word = replace(ready.word, list_id=found.id)
    known = permission.read(read(consent_key(own[0].who)))
    marks = permission.join(known, (mark for row in own for mark in _says(row.ready)))
    over: list[Row] = []
    for number, row in enumerate(own):
        row.ready.known, row.ready.marks = known, marks
        row.ready.step = _step(row, own[number + 1 :], now_ms)
        if row.ready.step in _SILENT:
            over.append(row)
    return over or [own[0]]


def _says(ready: Ready) -> list[tuple[str, Mark]]:
    return permission.heard(ready.word) if ready.observed else permission.said(ready.word)


def _step(row: Row, behind: Sequence[Row], now_ms: int) -> str:
    ready: Ready = row.ready
    if ready.observed:
        return "observed"
    verdict = permission.judge(ready.word, ready.known, ready.marks)
    if verdict != "go":
        return verdict
    if any(_covers(other.ready.word, ready.word) for other in behind if not other.ready.observed):
        return "superseded"
    ready.historical = ready.word.kind == "subscribe" and now_ms - ready.word.time > LIVE_MS
    return ready.word.kind


def _covers(newer: Word, older: Word) -> bool:
    """Whether a word behind another says the same, later."""
    same = (newer.kind, newer.list_id) == (older.kind, older.list_id)
    return same and newer.time >= older.time and set(newer.parts) >= set(older.parts)


def _outdated(group: Group) -> list[Row]:
    """Those to ask Klaviyo about before it is told, as many as one question may name.

    Off its list, a profile would be unsubscribed from everything; and what is in doubt may have been done.
    """
    ready: Ready = group.rows[0].ready
    if ready.step != "subscribe" and not (ready.step == "unsubscribe" and ready.word.list_id):
        return []
    rows = [
        row
        for row in group.rows
        if row.ready.asked_after != row.attempts or group.at_ms - row.ready.asked_at > FRESH_MS
    ]
    return lookups.paged(rows, lambda row: row.ready.by[1])[0] if rows else []


def _compare(row: Row, subscriptions: Mapping[str, Any], now_ms: int) -> str:
    """What Klaviyo shows of a person, and what it leaves to do."""
    ready: Ready = row.ready
    shown = permission.shown(subscriptions, now_ms)
    ready.known = permission.join(ready.known, shown)
    ready.marks = permission.join(ready.marks, shown)
    verdict = permission.judge(ready.word, ready.known, ready.marks)
    return ready.step if verdict == "go" else verdict


def _end(end: Settled, known: Mapping[str, Mark]) -> tuple[Settled, dict[bytes, bytes]]:
    """The end of a row that was not refused by Klaviyo, and what is to be remembered."""
    row, ready = end.row, end.row.ready
    marks = dict(known)
    changes: dict[bytes, bytes] = {}
    word: Word = ready.word
    if ready.step in _SILENT:
        outcome, reason = _SILENT[ready.step]
        end = replace(end, outcome=outcome, reason=reason)
        if ready.observed or word.restricts or ready.step == "same":
            marks = permission.join(marks, _says(ready))
    else:
        end, told = _told(end)
        if told is not None:
            marks = permission.join(marks, permission.said(told, done=True))
            changes |= _membership(row, told)
    return end, changes | {consent_key(row.who): permission.form(marks)}


def _told(end: Settled) -> tuple[Settled, Word | None]:
    """What Klaviyo was told of a row; None while it waits for the person's own confirmation."""
    ready: Ready = end.row.ready
    closed = [part for part in ready.word.parts if part not in ready.open]
    if closed:
        fields = str(end.reason).removeprefix(Reason.ACCEPTED).removeprefix(f"{Reason.FIELD_IGNORED}:")
        names = ",".join([*filter(None, [fields]), *closed])
        end = replace(end, reason=f"{Reason.FIELD_IGNORED}:{names}")
    if ready.step == "subscribe" and ready.double_opt_in and not ready.historical:
        return replace(end, detail="pending: the list asks for a confirmation"), None
    return end, replace(ready.word, parts=ready.open)


def _membership(row: Row, word: Word) -> dict[bytes, bytes]:
    before = row.ready.membership
    if not word.list_id or (before is not None and before[1] > word.time):
        return {}
    on = lookups.member_form(word.time, on=word.kind == "subscribe")
    return {lookups.member_key(word.list_id, row.who): on}


def _part(row: Row) -> tuple[str, ...]:
    """What the rows of one call have in common."""
    ready: Ready = row.ready
    match ready.step:
        case "name" | "id":
            return ready.step, ready.list
        case "size":
            return ready.step, ready.word.list_id
        case "subscribe":
            word = ready.word
            return ready.step, word.list_id, str(ready.historical), word.source, ready.by[0]
        case "unsubscribe":
            return ready.step, ready.word.list_id, ready.by[0]
        case _:
            return (ready.step,)


def _cut(rows: list[Row]) -> list[list[Row]]:
    """Rows in parts that one call, and the question before it, may carry."""
    step = rows[0].ready.step
    if step == "subscribe" or (step == "unsubscribe" and rows[0].ready.word.list_id):
        return lookups.paged(rows, lambda row: row.ready.by[1])
    size = consents.SUBSCRIBED if step in _SILENT or step in ("name", "id", "size") else consents.OTHERS
    return [rows[at : at + size] for at in range(0, len(rows), size)]
