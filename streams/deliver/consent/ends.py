"""What answers mean for the rows of the consent lane: how they end, and what is remembered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from streams.deliver.consent import permission, steps
from streams.deliver.consent.permission import Mark, Word
from streams.deliver.consent.prepare import Ready, Step
from streams.deliver.consent.standing import consent_key, doubt_key
from streams.deliver.judge import dead
from streams.deliver.lists import lookups
from streams.deliver.row import Row, Settled
from streams.klaviyo.replies import Reply, Transient
from streams.ledger.reasons import Outcome, Reason

_NEVER_LEFT: Final = ("ClientConnector", "ConnectionTimeout")
"""How errors are called that come before a request is written."""
_NOT_TAKEN: Final = frozenset({403, 408, 423, 425, 503})
"""Answers without a verdict that say all the same that nothing was done."""


@dataclass(slots=True)
class Ends:
    """Ends of rows and what they leave in the state, of several rows of a profile one after the other."""

    ended: list[Settled] = field(default_factory=list)
    changes: dict[bytes, bytes | None] = field(default_factory=dict)
    _marks: dict[str, Mapping[str, Mark]] = field(default_factory=dict)

    def end(self, end: Settled) -> None:
        """A row that Klaviyo did not refuse."""
        row, ready = end.row, end.row.ready
        if ready.step in steps.SILENT:
            outcome, reason = steps.SILENT[ready.step]
            self.ended.append(replace(end, outcome=outcome, reason=reason))
            if ready.observed or ready.word.restricts or ready.step == "same":
                self.remember(row, steps.says(ready))
            if ready.observed and ready.word.kind == "unsubscribe":
                self._member(row, ready.word)
        else:
            end, told = _told(end)
            self.ended.append(end)
            if told is not None:
                self.remember(row, permission.said(told, done=True))
                self._member(row, told)
        self.settle(row)

    def without_list(self, end: Settled) -> None:
        """Klaviyo has no such list: a farewell counts under its name, should it be made; nothing else does.

        What Klaviyo itself said of it says nothing about anything.
        """
        row, ready = end.row, end.row.ready
        if ready.observed:
            end = Settled(row, *steps.SILENT["observed"])
        elif end.outcome == Outcome.UNCHANGED:
            self.remember(row, permission.said(replace(ready.word, list_id=ready.list)))
        self.ended.append(end)

    def fail(self, end: Settled) -> None:
        """A row that Klaviyo refused: a no counts all the same, a yes that it finds outdated is refused."""
        row, ready = end.row, end.row.ready
        if ready.word.restricts:
            self.remember(row, permission.said(ready.word))
        if ready.historical and end.reason == Reason.REJECTED and "consented_at" in end.detail:
            no = Mark(no=ready.word.time, done=ready.word.time, source="klaviyo")
            self.remember(row, [(part, no) for part in ready.open])
            end = replace(end, outcome=Outcome.REFUSED, reason=Reason.CONSENT)
        self.ended.append(end)
        self.settle(row)

    def seen(self, row: Row, subscriptions: Mapping[str, Any], now_ms: int) -> Step:
        """What Klaviyo shows of a person, and what it leaves to do."""
        ready: Ready = row.ready
        shown = permission.shown(subscriptions, now_ms)
        ready.marks = permission.join(ready.marks, shown)
        self.remember(row, shown)
        verdict = permission.judge(ready.word, ready.known, ready.marks)
        return ready.step if verdict == "go" else verdict

    def read_back(self, row: Row, *, on_list: bool) -> None:
        """Klaviyo's answer about a row in doubt: nothing shows that a confirmation waits for an answer."""
        if on_list:
            self.ended.append(Settled(row, Outcome.DELIVERED, Reason.CONFIRMED))
            self.remember(row, permission.said(row.ready.word, done=True))
            self.settle(row)
            return
        why = "a confirmation may have been asked for, and Klaviyo does not show it: redrive to ask once more"
        self.ended.append(dead(row, Reason.UNCONFIRMED, why))
        self.settle(row)

    def remember(self, row: Row, said: Sequence[tuple[str, Mark]]) -> None:
        """Write a person's marks, with these."""
        before = self._marks.get(row.person, row.ready.known)
        marks = permission.join(before, said)
        row.ready.known = self._marks[row.person] = marks
        if marks != before:
            self.changes[consent_key(row.person)] = permission.form(marks)

    def settle(self, row: Row) -> None:
        """Nothing of the row is in doubt any more."""
        if row.ready.double_opt_in or row.ready.doubt:
            self.changes[doubt_key(row.op["op_id"])] = None

    def _member(self, row: Row, word: Word) -> None:
        before = row.ready.membership
        if word.list_id and (before is None or before[1] <= word.time):
            on = lookups.member_form(word.time, on=word.kind == "subscribe")
            self.changes[lookups.member_key(word.list_id, row.person)] = on


def _told(end: Settled) -> tuple[Settled, Word | None]:
    """What Klaviyo was told of a row; None while it waits for the person's own confirmation."""
    ready: Ready = end.row.ready
    closed = [part for part in ready.word.parts if part not in ready.open]
    if closed:
        fields = str(end.reason).removeprefix(Reason.ACCEPTED).removeprefix(f"{Reason.FIELD_IGNORED}:")
        names = ",".join([*filter(None, [fields]), *closed])
        end = replace(end, reason=f"{Reason.FIELD_IGNORED}:{names}")
    if ready.confirms:
        return replace(end, detail="pending: the list asks for a confirmation"), None
    return end, replace(ready.word, parts=ready.open)


def maybe_taken(reply: Reply) -> bool:
    """Whether a call that got this answer may have been taken."""
    if not isinstance(reply.verdict, Transient) or reply.status in _NOT_TAKEN:
        return False
    return reply.status != 0 or not reply.text.startswith(_NEVER_LEFT)
