"""What each row of the consent lane needs next, and which rows one call carries."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, cast

from streams.deliver import addresses
from streams.deliver.consent import permission, standing
from streams.deliver.consent.permission import Mark, Word
from streams.deliver.consent.prepare import Ready, Step
from streams.deliver.family import Read
from streams.deliver.lists import audiences, lookups
from streams.deliver.row import Group, Row
from streams.klaviyo import audience, consents
from streams.ledger.reasons import Outcome, Reason

LIVE_MS: Final = 300_000
"""Consent older than this was given before: it is imported with its date."""
FRESH_MS: Final = 60_000
"""How long an answer about a person counts."""
SILENT: Final = {
    "superseded": (Outcome.UNCHANGED, Reason.SUPERSEDED),
    "same": (Outcome.UNCHANGED, Reason.SAME_VALUES),
    "not_member": (Outcome.UNCHANGED, Reason.NOT_MEMBER),
    "observed": (Outcome.FILTERED, Reason.OBSERVED),
    "refused": (Outcome.REFUSED, Reason.CONSENT),
}
"""Steps that end without a call. Filtered counts last: an observation counts as what Segment got of it."""


def choose(own: Sequence[Row], read: Read, now_ms: int) -> list[Row]:
    """Of one profile's rows those that end without a call; else the first, with what it needs next."""
    if (nameless := _nameless(own, read, now_ms)) is not None:
        return [nameless]
    known = _known(own, read)
    marks = permission.join(known, (mark for row in own for mark in says(row.ready)))
    for number, row in enumerate(own):
        ready: Ready = row.ready
        ready.known, ready.marks = known, marks
        ready.asked_at = permission.NEVER
        _moved(row, read)
        ready.membership = lookups.membership(ready.word.list_id, row.person, read)
        if ready.doubt is None:
            ready.doubt = read(standing.doubt_key(row.op["op_id"])) is not None
        ready.step = _step(row, own[number + 1 :], now_ms)
    return [row for row in own if row.ready.step in SILENT] or [own[0]]


def _nameless(own: Sequence[Row], read: Read, now_ms: int) -> Row | None:
    """The first row whose list's id is not known."""
    for row in own:
        ready: Ready = row.ready
        if ready.list:
            found = lookups.known_list(ready.list, read, now_ms)
            if found is None:
                ready.step, ready.known = ready.list_step, _known([row], read)
                return row
            ready.list_step, ready.double_opt_in = "name", found.double_opt_in
            ready.word = replace(ready.word, list_id=found.id)
    return None


def _known(own: Sequence[Row], read: Read) -> Mapping[str, Mark]:
    """What the state holds of one profile, of lists by their ids."""
    known: Mapping[str, Mark] = standing.known(own[0], read)
    for row in own:
        known = permission.renamed(known, row.ready.list, row.ready.word.list_id)
    return known


def joins(row: Row) -> bool:
    """Whether a list is made for the row."""
    return row.ready.word.kind == "subscribe" and not row.ready.observed


def says(ready: Ready) -> list[tuple[str, Mark]]:
    """What an operation adds to what is known."""
    return permission.heard(ready.word) if ready.observed else permission.said(ready.word)


def _step(row: Row, behind: Sequence[Row], now_ms: int) -> Step:
    ready: Ready = row.ready
    if ready.observed:
        return "observed"
    verdict = permission.judge(ready.word, ready.known, ready.marks)
    if verdict != "go":
        return verdict
    if any(_covers(other.ready.word, ready.word) for other in behind if not other.ready.observed):
        return "superseded"
    ready.historical = ready.word.kind == "subscribe" and _before(row, now_ms)
    return cast("Step", ready.word.kind)


def _before(row: Row, now_ms: int) -> bool:
    """Whether it is imported with its date, which asks nobody for a confirmation.

    Who must confirm is asked even if the lane was late, unless the rule says the date or it is backfill.
    """
    ready: Ready = row.ready
    late = now_ms - ready.word.time > LIVE_MS
    return late and (row.backfill or ready.dated or not ready.double_opt_in)


def _covers(newer: Word, older: Word) -> bool:
    """Whether a word behind another says the same, later."""
    same = (newer.kind, newer.list_id) == (older.kind, older.list_id)
    return same and newer.time >= older.time and set(newer.parts) >= set(older.parts)


def more_is_known(group: Group, read: Read) -> bool:
    """Whether somebody has a new address, or word of them came under another name, since the group was made.

    They are asked about anew. Under one name nothing else goes on meanwhile; who was merged, or known to
    Klaviyo only, has others.
    """
    more = sum(_moved(row, read) for row in group.rows) > 0
    for row in group.rows if group.rows[0].ready.step == "subscribe" else ():
        ready: Ready = row.ready
        known = _known([row], read)
        marks = permission.join(ready.marks, known.items())
        if marks != ready.marks:
            ready.known, ready.marks = permission.join(ready.known, known.items()), marks
            ready.asked_at = permission.NEVER
            more = True
    return more


def _moved(row: Row, read: Read) -> bool:
    """Whether the person has another address by now: consent is theirs, and the old one is nobody's."""
    ready: Ready = row.ready
    who = addresses.newest(ready.who, row, addresses.known(row, read))
    if who == ready.who:
        return False
    ready.who, ready.by, ready.asked_at = who, (ready.by[0], who[ready.by[0]]), permission.NEVER
    return True


def doubted(group: Group) -> list[Row]:
    """Rows whose person may have been asked for a confirmation, as many as one question may name."""
    rows = [row for row in group.rows if row.ready.confirms and row.ready.doubt]
    return _page(rows)


def outdated(group: Group) -> list[Row]:
    """Those to ask Klaviyo about before it is told, as many as one question may name.

    Off its list, a profile would be unsubscribed from everything; and what is in doubt may have been done.
    """
    ready: Ready = group.rows[0].ready
    if ready.step != "subscribe" and not (ready.step == "unsubscribe" and ready.word.list_id):
        return []
    return _page([row for row in group.rows if not 0 <= group.at_ms - row.ready.asked_at <= FRESH_MS])


def looked(rows: Sequence[Row], found: Mapping[str, tuple[str, Mapping[str, Any]]]) -> None:
    """Keep who of those that are to leave everything is subscribed to it: identifier → what Klaviyo shows."""
    for row in rows:
        ready: Ready = row.ready
        shown = found.get(audience.same(*ready.by))
        ready.subscribed = shown is not None and permission.subscribed(ready.word, shown[1])


def _page(rows: Sequence[Row]) -> list[Row]:
    return lookups.paged(rows, lambda row: row.ready.by[1])[0] if rows else []


def kind(row: Row) -> tuple[str, ...]:
    """What the rows of one call have in common; all that needs none goes together, in order."""
    ready: Ready = row.ready
    match ready.step:
        case "name" | "id" | "create":
            return ready.step, ready.list
        case "size":
            return ready.step, ready.word.list_id
        case "look":
            return ready.step, ready.by[0]
        case "subscribe":
            word = ready.word
            return ready.step, word.list_id, str(ready.historical), word.source, ready.by[0]
        case "unsubscribe":
            return ready.step, ready.word.list_id, ready.by[0]
        case "suppress" | "unsuppress":
            return (ready.step,)
        case _:
            return ("silent",)


def cut(rows: list[Row]) -> list[list[Row]]:
    """Rows in parts that one call may carry.

    What cannot be asked about afterwards, a confirmation, goes a page at a time: so much may be in doubt.
    """
    ready: Ready = rows[0].ready
    match ready.step:
        case "look":
            return lookups.paged(rows, lambda row: row.ready.by[1])
        case "subscribe" if ready.confirms:
            return audiences.chunks(rows, audience.LOOKED_UP)
        case "subscribe":
            return consents.calls(rows, lambda row: row.ready.person())
        case "unsubscribe" | "suppress" | "unsuppress":
            return audiences.chunks(rows, consents.OTHERS)
        case _:
            return [rows]
