"""A bulk import from rows to its end: one element a profile, a job, its errors, the rows it has done."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import orjson

from streams.deliver import addresses
from streams.deliver.family import Learned, Read
from streams.deliver.judge import dead
from streams.deliver.profiles import jobs
from streams.deliver.profiles.traits import Folded, fold
from streams.deliver.row import Group, Row, Settled, by_profile
from streams.klaviyo import imports
from streams.klaviyo.imports import Failed
from streams.klaviyo.replies import Accepted, Rejected, RejectedWhole, Reply, Throttled
from streams.klaviyo.requests import Request
from streams.ledger.reasons import Outcome, Reason

_FIRST_WAIT_S: Final = 0.25
_LONGEST_WAIT_S: Final = 30.0
_RAREST_S: Final = 600.0
_PATIENCE: Final = 0.1
"""A job that takes long is looked at after each tenth of its age: ever more seldom, and never no more."""


def traits_key(profile_id: str) -> bytes:
    """Where the state of a profile's attributes stands."""
    return b"t/" + profile_id.encode()


@dataclass(frozen=True, slots=True)
class Element:
    """One profile's rows, folded onto what Klaviyo has."""

    rows: list[Row]
    folded: Folded
    first: bool = False
    """Nothing was known of the profile: it may be new."""
    told: dict[bytes, bytes] = field(default_factory=dict)
    """What the state says from when the call leaves on."""

    @property
    def changed(self) -> bool:
        """Whether there is anything to say."""
        return any(self.folded.changed)


@dataclass(slots=True)
class Import:
    """Where a job is. ``began``: when, ms by the wall clock; ``who``: profiles as its errors count them."""

    began: int
    who: list[str]
    count: int | None = None
    """How many rows failed, as the job says."""
    looks: int = 0
    ended: bool = False
    cursor: str | None = None
    failed: list[Failed] = field(default_factory=list)


def fold_rows(rows: Sequence[Row], read: Read) -> Element:
    """One profile's rows folded onto its state."""
    person = rows[0].person
    state, said = read(traits_key(person)), addresses.known(rows[0], read)
    before, updates = said, []
    for row in rows:
        who = addresses.newest(row.ready.update.who, row, said)
        said = addresses.told(who, row, said)
        updates.append(replace(row.ready.update, who=who))
    folded = fold(orjson.loads(state) if state else {}, updates)
    told = {} if said == before else {addresses.addresses_key(person): orjson.dumps(said)}
    return Element(list(rows), folded, state is None, told)


def settled(element: Element, ends: Sequence[Settled]) -> list[Settled]:
    """Ends of one profile's rows: an update that changed nothing is ``unchanged``."""
    return [
        end if differs else replace(end, outcome=Outcome.UNCHANGED, reason=Reason.SAME_VALUES)
        for end, differs in zip(ends, element.folded.changed, strict=True)
    ]


def request(family: str, group: Group, read: Read) -> Request | None:
    """The job's creation, or the next question about it; None when no row says anything new."""
    if group.job is None or group.effects is None:
        group.effects = [fold_rows(rows, read) for rows in by_profile(group.rows)]
    if group.job is None:
        numbers = {id(row): number for number, row in enumerate(group.rows)}
        said = [element for element in group.effects if element.changed]
        layout = [tuple(numbers[id(row)] for row in element.rows) for element in said]
        bodies = [element.folded.who | element.folded.attributes for element in said]
        return imports.create(bodies, layout) if said else None
    if group.step is None:
        known = orjson.loads(read(jobs.key(family, group.job)) or b"{}")
        group.step = Import(known.get("at", group.at_ms), known.get("who", []))
    at: Import = group.step
    return imports.errors(group.job, at.cursor) if at.ended else imports.look(group.job)


def learned(family: str, group: Group, reply: Reply, now_ms: int) -> Learned:
    """An answer: the job exists, goes on, or is done."""
    verdict = reply.verdict
    data = verdict.data if isinstance(verdict, Accepted) else None
    if group.job is None:
        job = imports.made(data)
        if job is None:
            return singly(family, group)
        said = [element.rows[0].who for element in group.effects if element.changed]
        group.job, group.step = job, Import(now_ms, said)
        changes = {jobs.key(family, job): jobs.form(group.rows, said, now_ms)}
        return Learned(changes, stay=True, wait_s=_FIRST_WAIT_S)
    at: Import = group.step
    if at.ended:
        at.failed += imports.failures(data)
        further = verdict.next if isinstance(verdict, Accepted) and verdict.next != at.cursor else None
        at.cursor = further
        return Learned(stay=True) if further else _done(family, group)
    status, at.count = imports.status(data)
    if status in imports.NEVER:
        return singly(family, group)
    if status != "complete":
        return waited(at, now_ms)
    at.ended = True
    return _done(family, group) if at.count == 0 else Learned(stay=True)


def refused(family: str, group: Group, reply: Reply, now_ms: int) -> Learned | None:
    """A question about an open job failed: its rows stay together unless Klaviyo has no such job."""
    if group.job is None:
        return None
    if isinstance(reply.verdict, Rejected | RejectedWhole):
        return singly(family, group)
    at: Import = group.step
    if isinstance(reply.verdict, Throttled):
        return Learned(stay=True, wait_s=reply.verdict.retry_after)
    return waited(at, now_ms)


def waited(at: Import, now_ms: int) -> Learned:
    """The job needs more time."""
    longest = min(_RAREST_S, max(_LONGEST_WAIT_S, _PATIENCE * (now_ms - at.began) / 1000))
    wait = min(longest, _FIRST_WAIT_S * 2.0 ** min(at.looks, 12))
    at.looks += 1
    return Learned(stay=True, wait_s=wait)


def singly(family: str, group: Group) -> Learned:
    """Nobody knows what the job has done: all its rows go by themselves; they may be repeated."""
    for row in group.rows:
        row.ready.alone = True
    return Learned(_over(family, group))


def _over(family: str, group: Group) -> dict[bytes, bytes | None]:
    job, group.job, group.step = group.job, None, None
    return {jobs.key(family, job): None} if job else {}


def _done(family: str, group: Group) -> Learned:
    """Failed rows are dead letters with Klaviyo's own words, but for those that a single call can mend.

    Of a profile's updates one may be at fault: they go by themselves, too.
    """
    at: Import = group.step
    numbers = {failure.number for failure in at.failed}
    told = [number for number in numbers if number is not None and number < len(at.who)]
    if len(told) < max(len(numbers), at.count or 0):
        return singly(family, group)
    failed = {at.who[failure.number]: failure for failure in at.failed if failure.number is not None}
    changes = _over(family, group)
    ends: list[Settled] = []
    said = set(at.who)
    unsaid = 0
    for element in group.effects:
        who = element.rows[0].who
        failure = failed.get(who)
        for row in element.rows:
            row.attempts += who in said
        unsaid += element.first and who in said and failure is None
        if failure is None:
            changes[traits_key(element.rows[0].person)] = orjson.dumps(element.folded.state)
            ends += settled(element, [_delivered(row) for row in element.rows])
        elif failure.code == imports.DUPLICATE or len(element.rows) > 1:
            for row in element.rows:
                row.ready.alone = True
        else:
            shown = (200, failure.text)
            ends += [dead(row, Reason.REJECTED, failure.detail, shown) for row in element.rows]
    return Learned(changes, ends, unsaid=unsaid)


def _delivered(row: Row) -> Settled:
    if row.ignored:
        return Settled(row, Outcome.DELIVERED, f"{Reason.FIELD_IGNORED}:{','.join(row.ignored)}")
    return Settled(row, Outcome.DELIVERED, Reason.ACCEPTED)
