"""A dry run: the line's rules on a file of messages, from empty state, without a broker or a network.

Stages do not import each other, so what the other rooms decide is handed in as ``Steps``.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from streams.klaviyo.operation import FAMILIES, Operation
from streams.ledger.reasons import Outcome, Reason
from streams.route.merges import merges
from streams.route.rules import Router
from streams.segment.envelope import Envelope, Origin, Profile


@dataclass(frozen=True, slots=True)
class Fate:
    """Why a message goes no further, for now or for good."""

    outcome: Outcome
    reason: str
    event_id: str = ""
    """Of a message that has no envelope but an id."""


@dataclass(frozen=True, slots=True)
class Person:
    """Whose a message is, and which held ones that lets go: their number and whether they are late by now."""

    profile: Profile
    released: tuple[tuple[int, bool], ...] = ()
    merged: tuple[Profile, ...] = ()
    """Profiles that the message joined to this one, as they were before."""


@dataclass(frozen=True, slots=True)
class Call:
    """The call that carries an operation alone; ``ignored`` names the fields that can't be sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Steps:
    """What the other rooms do with a message."""

    read: Callable[[bytes], tuple[Envelope, ...] | Fate]
    """A line → an envelope for each space of its source."""
    identify: Callable[[Envelope, int], Person | Fate]
    """An envelope and its number, counted over the whole run → whose it is."""
    request: Callable[[Operation], Call | Fate]
    """An operation → its call, secrets masked, or why it can't be sent."""


@dataclass(slots=True)
class Line:
    """What became of one line of the file."""

    line: int
    event_id: str = ""
    outcome: str = ""
    reason: str | None = None
    matched_rules: list[str] = field(default_factory=list)
    profile: dict[str, Any] | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)
    unmapped: list[str] = field(default_factory=list)
    not_sent: list[dict[str, Any]] = field(default_factory=list)
    """What rules asked for that is no request: account, kind (null if none was made), outcome, reason."""

    def dump(self) -> bytes:
        """The line as JSON."""
        return orjson.dumps(self)


def dry_run(lines: Iterable[bytes], router: Router, steps: Steps) -> list[Line]:
    """One answer for each line, in the order of the file.

    What is held shows what it becomes once somebody is known, so no answer comes before the end of the
    file; whatever is held then stays ``held``.
    """
    run = _Run(router, steps)
    return [run.take(number, text) for number, text in enumerate(lines, start=1) if text.strip()]


class _Run:
    """The state of one dry run: what was seen, what is held."""

    def __init__(self, router: Router, steps: Steps) -> None:
        self._router = router
        self._steps = steps
        self._seen: set[bytes] = set()
        self._held: dict[int, tuple[Envelope, Line]] = {}
        self._count = 0

    def take(self, number: int, text: bytes) -> Line:
        answer = Line(number)
        found = self._steps.read(text)
        if isinstance(found, Fate):
            answer.outcome, answer.reason, answer.event_id = found.outcome.value, found.reason, found.event_id
            return answer
        for envelope in found:
            answer.event_id = envelope["event_id"]
            self._one(envelope, answer)
        return answer

    def _one(self, envelope: Envelope, answer: Line) -> None:
        number = self._count
        self._count += 1
        if envelope["uid"] in self._seen:
            _settle(answer, Outcome.DUPLICATE, Reason.SEEN_BEFORE.value)
            return
        self._seen.add(envelope["uid"])
        found = self._steps.identify(envelope, number)
        if isinstance(found, Fate):
            if found.outcome is Outcome.HELD:
                self._held[number] = (envelope, answer)
            _settle(answer, found.outcome, found.reason)
            return
        for released, late in found.released:
            earlier, waiting = self._held.pop(released)
            self._route(earlier, found.profile, waiting, late=late)
        self._route(envelope, found.profile, answer, merged=found.merged)

    def _route(
        self,
        envelope: Envelope,
        profile: Profile,
        answer: Line,
        *,
        late: bool = False,
        merged: tuple[Profile, ...] = (),
    ) -> None:
        origin = Origin(
            line="events",
            space=envelope["space"],
            partition=0,
            offset=answer.line,
            accepted_at=envelope["accepted_at"],
            replay=None,
        )
        routed = self._router.route(orjson.loads(envelope["body"]), envelope, profile, origin, late)
        accounts = self._router.accounts_of(envelope["space"])
        routed.operations += merges(accounts, envelope, origin, profile, merged)
        answer.profile = {
            "id": profile["id"],
            "email": profile["email"],
            "phone": profile["phone"],
            "external_id": profile["user_id"],
            "anonymous_ids": list(profile["anonymous_ids"]),
        }
        answer.matched_rules += routed.matched
        answer.unmapped += routed.unmapped
        for _, account, operation in routed.operations:
            self._call(operation, account, answer)
        for account, reason, detail in routed.refusals:
            _not_sent(answer, account, None, Fate(Outcome.DEAD_LETTERED, f"{reason}:{detail}"))
        for account, reason in routed.same_as:
            answer.not_sent.append(_unsent(account, None, Fate(Outcome.FILTERED, reason)))
        if answer.requests:
            _settle(answer, Outcome.ROUTED, None)
        elif not routed.operations and not routed.refusals:
            _settle(answer, Outcome.FILTERED, routed.filtered)

    def _call(self, operation: Operation, account: str, answer: Line) -> None:
        call = self._steps.request(operation)
        if isinstance(call, Fate):
            _not_sent(answer, account, operation["kind"], call)
            return
        answer.unmapped += call.ignored
        answer.requests.append(
            {
                "account": account,
                "lane": FAMILIES[operation["kind"]],
                "delivery_id": operation["op_id"],
                "method": call.method,
                "path": call.path,
                "headers": call.headers,
                "body": call.body,
            }
        )


def _unsent(account: str, kind: str | None, why: Fate) -> dict[str, Any]:
    return {"account": account, "kind": kind, "outcome": why.outcome.value, "reason": why.reason}


def _not_sent(answer: Line, account: str, kind: str | None, why: Fate) -> None:
    answer.not_sent.append(_unsent(account, kind, why))
    _settle(answer, why.outcome, why.reason)


_RANK = {Outcome.DEAD_LETTERED.value: 2, Outcome.ROUTED.value: 1}


def _settle(answer: Line, outcome: Outcome, reason: str | None) -> None:
    """A message is told by its dead letter if it has one, else by what went furthest in any space."""
    if _RANK.get(answer.outcome, 0) < _RANK.get(outcome, 0) or not _RANK.get(answer.outcome, 0):
        answer.outcome, answer.reason = outcome.value, reason
