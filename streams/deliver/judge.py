"""From an answer to what becomes of each row of the call: the table of answers, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from streams.deliver.row import Group, Row, Settled, by_profile
from streams.klaviyo.replies import (
    CONFLICT,
    Accepted,
    Conflict,
    Rejected,
    RejectedWhole,
    Reply,
    Stopped,
    Throttled,
    Transient,
)
from streams.klaviyo.requests import Request
from streams.ledger.reasons import Outcome, Reason

BACKOFF_S: Final = 0.5
LONGEST_BACKOFF_S: Final = 30.0
LONGEST_ASKING_S: Final = 4.0
"""The same of a question that many rows wait for: one small call, asked a little more often."""
LOW: Final = 0.3
"""Below this share of calls that go well the lane has an outage: it is not the rows."""
HIGH: Final = 0.8
"""From this share of others' calls that go well on, a row that keeps failing is to blame."""
IDENTIFIERS: Final = frozenset({"id", "email", "phone_number", "external_id", "anonymous_id", "_kx"})
"""What a profile is blamed for, and with it all its rows."""
_ROUNDS: Final = 4
"""So often the blamed rows of a call are taken out before it is halved."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How the lane does: calls that went well and that got no verdict, and the share of the first of late.

    ``tries`` is how many strikes make a row alone a dead letter.
    """

    tries: int = 8
    share: float = 1.0
    successes: int = 0
    failures: int = 0

    def after(self, well: bool) -> "Standing":
        """With one more call."""
        share = 0.9 * self.share + 0.1 * well
        return Standing(self.tries, share, self.successes + well, self.failures + (not well))

    def blames(self, row: Row) -> bool:
        """Whether others did well since the row first failed: then it is the row, not Klaviyo."""
        well = self.successes - row.failed_at[0]
        badly = self.failures - row.failed_at[1] - (row.failures - 1)
        return well >= 1 and well >= HIGH * (well + badly)


@dataclass(frozen=True, slots=True)
class Again:
    """Send this; ``wait_s`` is an upper bound, of which jitter takes a part unless ``exact``."""

    group: Group
    wait_s: float = 0.0
    exact: bool = False
    doubt: bool = False
    """Whether its rows may have been taken."""


@dataclass(slots=True)
class Judged:
    """What one answer leads to."""

    settled: list[Settled] = field(default_factory=list)
    again: list[Again] = field(default_factory=list)
    dissolved: list[Row] = field(default_factory=list)
    stopped: str | None = None
    throttled_s: float | None = None


def judge(group: Group, request: Request, reply: Reply, lane: Standing) -> Judged:
    """Apply the table of answers.

    Args:
        group: the rows that were sent.
        request: what they were sent as.
        reply: the answer.
        lane: how the lane does otherwise.
    """
    judged = _table(group, request, reply, lane)
    after = group.after
    if after is not None and not judged.dissolved and not any(_holds(a.group, after) for a in judged.again):
        judged.again.append(Again(after))
    return judged


def _holds(group: Group | None, wanted: Group) -> bool:
    while group is not None and group is not wanted:
        group = group.after
    return group is wanted


def _table(group: Group, request: Request, reply: Reply, lane: Standing) -> Judged:
    verdict = reply.verdict
    shown = (reply.status, reply.text)
    if not isinstance(verdict, Stopped | Throttled):
        for row in group.rows:
            row.attempts += 1
    match verdict:
        case Accepted():
            return Judged([_delivered(row, verdict.ignored) for row in group.rows])
        case Rejected() | RejectedWhole() | Conflict() if request.whole:
            detail = verdict.blames[0].detail if isinstance(verdict, Rejected) else verdict.detail
            return Judged([dead(row, Reason.REJECTED, detail, shown) for row in group.rows])
        case Rejected():
            return _without(group, request, verdict, shown)
        case RejectedWhole() | Conflict() if len(group.rows) > 1:
            return Judged(again=halves(group))
        case RejectedWhole():
            if group.bulk:
                return Judged(again=[Again(Group(group.id, group.rows, bulk=False, after=group.after))])
            return Judged([dead(group.rows[0], Reason.REJECTED, verdict.detail, shown)])
        case Conflict():
            detail = f"{verdict.detail} (the other profile: {verdict.klaviyo_id or 'not named'})"
            return Judged([dead(group.rows[0], Reason.PROFILE_CONFLICT, detail, shown)])
        case Throttled():
            return Judged(
                again=[Again(group, verdict.retry_after, exact=True)], throttled_s=verdict.retry_after
            )
        case Stopped():
            return Judged(dissolved=chain(group), stopped=verdict.detail)
        case Transient():
            return _failed(group, request, verdict, shown, lane)


def chain(group: Group | None) -> list[Row]:
    """The group's rows and those that wait behind it, in order."""
    rows: list[Row] = []
    while group is not None:
        rows += group.rows
        group = group.after
    return rows


def dead(row: Row, reason: Reason, detail: str, reply: tuple[int, str] | None = None) -> Settled:
    """The end of a row as a dead letter."""
    return Settled(row, Outcome.DEAD_LETTERED, reason, detail, reply)


def halves(group: Group, doubt: bool = False) -> list[Again]:
    """Two groups, cut between profiles; of one profile, the second half waits behind the first."""
    rows = group.rows
    middle = len(rows) // 2
    cuts = [at for at in range(1, len(rows)) if rows[at].who != rows[at - 1].who]
    if not cuts:
        tail = Group(f"{group.id}b", rows[middle:], _bulk(group, rows[middle:]), after=group.after)
        head = Group(f"{group.id}a", rows[:middle], _bulk(group, rows[:middle]), after=tail)
        return [Again(head, doubt=doubt)]
    cut = min(cuts, key=lambda at: abs(at - middle))
    parts = (rows[:cut], rows[cut:])
    # what waits behind belongs to the group's one profile, so with several profiles there is none
    return [
        Again(Group(group.id + name, part, _bulk(group, part)), doubt=doubt)
        for name, part in zip("ab", parts, strict=True)
    ]


def _bulk(group: Group, rows: Sequence[Row]) -> bool:
    return group.bulk and len(rows) > 1


def _delivered(row: Row, ignored: Sequence[str]) -> Settled:
    fields = (*row.ignored, *ignored)
    if fields:
        return Settled(row, Outcome.DELIVERED, f"{Reason.FIELD_IGNORED}:{','.join(fields)}")
    return Settled(row, Outcome.DELIVERED, Reason.ACCEPTED)


def _without(group: Group, request: Request, verdict: Rejected, shown: tuple[int, str]) -> Judged:
    """Blamed rows out, the rest again. An id that bulk refuses goes alone: there it is taken or ignored.

    So do rows that are blamed together, unless it is for whom they are for: one of them may be at fault.
    """
    if not group.bulk and len(group.rows) > 1:
        return Judged(again=halves(group))
    blamed = {row: blame for blame in verdict.blames for row in blame.rows}
    judged = Judged()
    rest: list[Row] = []
    singles: list[Row] = []
    for number, row in enumerate(group.rows):
        blame = blamed.get(number)
        if blame is None:
            rest.append(row)
        elif group.bulk and (
            blame.field in ("unique_id", CONFLICT) or (len(blame.rows) > 1 and blame.field not in IDENTIFIERS)
        ):
            singles.append(row)
        else:
            judged.settled.append(dead(row, Reason.REJECTED, blame.detail, shown))
    rounds = group.rounds + 1
    alone = {row.who for row in singles}
    follow = [row for row in rest if row.who in alone]
    rest = [row for row in rest if row.who not in alone]
    for rows in by_profile([row for row in group.rows if row in singles or row in follow]):
        judged.again.append(Again(_in_a_row(group, rows)))
    if rest:
        again = Group(f"{group.id}r", rest, _bulk(group, rest), rounds=rounds, after=group.after)
        judged.again += halves(again) if rounds % _ROUNDS == 0 and len(rest) > 1 else [Again(again)]
    return judged


def _in_a_row(group: Group, rows: Sequence[Row]) -> Group:
    """One profile's rows as single calls, one behind the other."""
    head = group.after
    for number, row in reversed(list(enumerate(rows))):
        head = Group(f"{group.id}s{number}-{row.offset}", [row], bulk=False, after=head)
    if head is None:
        raise ValueError("no rows")
    return head


def _failed(
    group: Group, request: Request, verdict: Transient, shown: tuple[int, str], lane: Standing
) -> Judged:
    group.failures += 1
    for row in group.rows:
        if not row.failures:
            row.failed_at = lane.successes, lane.failures
        row.failures += 1
    longest = LONGEST_ASKING_S if request.whole else LONGEST_BACKOFF_S
    wait = min(longest, BACKOFF_S * 2.0 ** min(group.failures, 10))
    if len(group.rows) > 1 and not request.whole:
        # in an outage a smaller call would do no better
        if group.failures >= 2 and lane.share >= LOW:
            return Judged(again=[Again(a.group, wait, doubt=True) for a in halves(group)])
        return Judged(again=[Again(group, wait, doubt=True)])
    row = group.rows[0]
    if lane.blames(row):
        row.strikes += 1
        if row.strikes >= lane.tries:
            return Judged([dead(each, Reason.KEEPS_FAILING, verdict.detail, shown) for each in group.rows])
    return Judged(again=[Again(group, wait, doubt=True)])
