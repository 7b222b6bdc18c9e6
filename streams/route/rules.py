"""Rules applied: one message and its person in, operations for the accounts of the space out."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from streams.config import Config
from streams.config.fql import Condition
from streams.config.paths import MISSING
from streams.config.rule import Rule
from streams.klaviyo.operation import FAMILIES, Operation, op_id
from streams.ledger.reasons import Reason
from streams.route.draft import Draft as Event
from streams.route.events import EventRule, compile_event, payload
from streams.route.fields import Getter, compile_field
from streams.route.fitting import Fitting, Refusal, compile_payload
from streams.route.formats import date, text
from streams.route.once import Once, compile_once, marked
from streams.route.others import OtherRule, compile_other
from streams.route.profiles import ProfileRule, compile_profile
from streams.segment.envelope import Envelope, Origin, Profile
from streams.segment.message import came_from_klaviyo, refused_by_sender

_TOPICS = {kind: f"klaviyo.{family}" for kind, family in FAMILIES.items()}
_REMEMBERED = 4096
"""Type and name pairs whose rules are known by heart; more than that are looked up anew."""


class Draft(NamedTuple):
    """An operation to be, the same for every account: kind, what its id is made of, its payload."""

    kind: str
    target: str
    key: str
    occurrence: int
    payload: bytes
    slimmed: bool = False


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule ready to run."""

    name: str
    condition: Condition
    accounts: frozenset[str] | None
    key: Getter | None
    do: EventRule | ProfileRule | OtherRule
    kind: str
    fitting: Fitting
    once: Once | None = None


_Placed = tuple[CompiledRule, tuple[str, ...]]
"""A rule, and the accounts of one space that it is for."""


@dataclass(slots=True)
class Routed:
    """What became of a message: operations, or the reason why there are none, and all that was left out."""

    operations: list[tuple[str, str, Operation]] = field(default_factory=list)
    """Topic, account, operation."""
    filtered: str | None = None
    refusals: list[tuple[str, str, str]] = field(default_factory=list)
    """Account, reason, detail: matched a rule, but can't be sent as it says."""
    unmapped: list[str] = field(default_factory=list)
    """Fields that had a value that could not be used where it belongs."""
    slimmed: int = 0
    """Payloads, counted once for all accounts, of which something was left out so that they fit."""
    matched: list[str] = field(default_factory=list)
    """Names of the rules whose condition held, in the order of the file."""
    same_as: list[tuple[str, str]] = field(default_factory=list)
    """Account and ``same_as:RULE``: an operation that RULE, earlier in the file, had made already."""


def compile_rules(config: Config) -> "Router":
    """The configuration's rules, ready to run."""
    fitting = compile_payload(config.payload)
    rules = tuple(_compile(rule, fitting) for rule in config.rules)
    return Router(rules, {space: config.accounts_of(space) for space in config.spaces})


def _compile(rule: Rule, fitting: Fitting) -> CompiledRule:
    do: EventRule | ProfileRule | OtherRule
    if rule.do == "event":
        do = compile_event(rule)
    elif rule.do == "profile":
        do = compile_profile(rule)
    else:
        do = compile_other(rule)
    return CompiledRule(
        name=rule.name,
        condition=Condition(rule.when),
        accounts=frozenset(rule.accounts) if rule.accounts is not None else None,
        key=compile_field(rule.key) if rule.key else None,
        do=do,
        kind=rule.do,
        fitting=compile_payload(rule.payload) if rule.payload else fitting,
        once=compile_once(rule.once) if rule.once else None,
    )


class Router:
    """All rules of a configuration. Pure but for a memory of which rules a type and name can match."""

    def __init__(self, rules: tuple[CompiledRule, ...], accounts: Mapping[str, tuple[str, ...]]) -> None:
        self._rules = {space: tuple(_in_space(rules, names)) for space, names in accounts.items()}
        self._accounts = accounts
        self._known: dict[tuple[str, str, str | None], tuple[_Placed, ...]] = {}

    def accounts_of(self, space: str) -> tuple[str, ...]:
        """The accounts of a space, in the order of the file."""
        return self._accounts.get(space, ())

    def wanted(self, type_: str, name: str | None) -> bool:
        """False only if no rule can match any message of this type and event name."""
        return any(self._candidates(space, type_, name) for space in self._rules)

    def route(
        self, message: dict[str, Any], envelope: Envelope, profile: Profile, origin: Origin, late: bool
    ) -> Routed:
        """The operations that the rules make of a message, in the order of the file.

        Args:
            message: the parsed body; not changed.
            envelope: its envelope.
            profile: whose it is.
            origin: where it entered the line.
            late: recorded without starting flows.
        """
        routed = Routed(filtered=_kept_back(message))
        if routed.filtered is not None:
            return routed
        if message.get("type") != envelope["type"]:
            message = {**message, "type": envelope["type"]}
        if _timeless(message, envelope):
            routed.unmapped.append("timestamp")
        makers: dict[str, str] = {}
        for rule, accounts in self._matching(message, envelope):
            routed.matched.append(rule.name)
            drafts, refusals = _made(rule, message, profile, routed.unmapped)
            routed.slimmed += sum(draft.slimmed for draft in drafts)
            for account in accounts:
                for refusal in refusals:
                    detail = f"{rule.name}: {refusal.detail}"
                    routed.refusals.append((account, refusal.reason.value, detail))
                for draft in drafts:
                    operation = _operation(draft, account, envelope, profile, origin, backfill=late)
                    maker = makers.setdefault(operation["op_id"], rule.name)
                    if maker == rule.name:
                        routed.operations.append((_TOPICS[draft.kind], account, operation))
                    else:
                        routed.same_as.append((account, f"{Reason.SAME_AS}:{maker}"))
        if not routed.matched:
            routed.filtered = Reason.NO_RULE.value
        elif not (routed.operations or routed.refusals):
            routed.filtered = Reason.ANONYMOUS.value
        return routed

    def _matching(self, message: dict[str, Any], envelope: Envelope) -> list[_Placed]:
        type_ = envelope["type"]
        name = message.get("event" if type_ == "track" else "name")
        if name is None or isinstance(name, str):
            placed = self._candidates(envelope["space"], type_, name)
        else:
            placed = self._rules.get(envelope["space"], ())
        return [each for each in placed if each[0].condition(message)]

    def _candidates(self, space: str, type_: str, name: str | None) -> tuple[_Placed, ...]:
        known = self._known.get((space, type_, name))
        if known is None:
            rules = self._rules.get(space, ())
            known = tuple(placed for placed in rules if placed[0].condition.might(type_, name))
            if len(self._known) < _REMEMBERED:
                self._known[space, type_, name] = known
        return known


def _in_space(rules: Iterable[CompiledRule], names: tuple[str, ...]) -> Iterator[_Placed]:
    """Each rule with those accounts of a space that it is for, if there are any."""
    for rule in rules:
        accounts = tuple(name for name in names if rule.accounts is None or name in rule.accounts)
        if accounts:
            yield rule, accounts


def _made(
    rule: CompiledRule, message: dict[str, Any], profile: Profile, unmapped: list[str]
) -> tuple[list[Draft], list[Refusal]]:
    if rule.kind == "profile" and not _addressable(profile):
        return [], []
    try:
        return _run(rule, message, profile, unmapped)
    except orjson.JSONEncodeError as error:
        return [], [_unfit(f"can't be written as JSON: {error}")]


def _unfit(detail: str) -> Refusal:
    return Refusal(Reason.MAPPING, detail)


def _addressable(profile: Profile) -> bool:
    """Whether Klaviyo can take the person's attributes: by an anonymous id alone it takes events only."""
    return bool(profile["user_id"] or profile["email"] or profile["phone"])


def _kept_back(message: dict[str, Any]) -> str | None:
    if came_from_klaviyo(message):
        return Reason.LOOP.value
    entry = refused_by_sender(message)
    return None if entry is None else f"{Reason.INTEGRATIONS}:{entry}"


def _timeless(message: Mapping[str, Any], envelope: Envelope) -> bool:
    """Whether the message has a time that is none, so that it counts as of when it was accepted."""
    if envelope["time"] != envelope["accepted_at"] or message.get("timestamp") is None:
        return False
    return date(message["timestamp"]) is MISSING


def _operation(
    draft: Draft, account: str, envelope: Envelope, profile: Profile, origin: Origin, *, backfill: bool
) -> Operation:
    id_ = op_id(account, envelope["uid"], draft.kind, draft.target, draft.key, draft.occurrence)
    return {
        "op_id": id_,
        "account": account,
        "kind": draft.kind,
        "origin": origin,
        "event_id": envelope["event_id"],
        "profile": profile,
        "time": envelope["time"],
        "backfill": backfill,
        "payload": draft.payload,
    }


def _run(
    rule: CompiledRule, message: dict[str, Any], profile: Profile, unmapped: list[str]
) -> tuple[list[Draft], list[Refusal]]:
    """The rule's operations for this message, and why some could not be made."""
    key = ""
    mark = None
    if rule.once:
        mark = rule.once(message, profile)
        if mark is None:
            return [], [_unfit("no once: nothing found where the rule looks for it")]
    if rule.key:
        found = text(rule.key(message, unmapped))
        if not found:
            return [], [_unfit("no key: nothing found where the rule looks for it")]
        key = f"\x1e{found}"
    if isinstance(rule.do, EventRule):
        return _events(rule, rule.do.drafts(message, unmapped), profile, key, mark)
    if isinstance(rule.do, ProfileRule):
        fitted = rule.fitting.profile(rule.do.payload(message, profile, unmapped))
        if isinstance(fitted, Refusal):
            return [], [fitted]
        return [_draft("profile", "", key, 0, fitted.payload, mark)], []
    answer = rule.do.payload(message, unmapped)
    if isinstance(answer, str):
        return [], [_unfit(answer)]
    return [_draft(rule.kind, answer[0], key, 0, answer[1], mark)], []


def _events(
    rule: CompiledRule, events: Iterable[Event], profile: Profile, key: str, mark: str | None
) -> tuple[list[Draft], list[Refusal]]:
    """The events that fit; of one that is split the first keeps the id of the whole."""
    drafts: list[Draft] = []
    refusals: list[Refusal] = []
    seen: dict[tuple[str, str], int] = {}
    for event in events:
        metric = event.metric
        if not metric or not metric.strip():
            refusals.append(_unfit("the event has no name to call the metric by"))
            continue
        occurrence = seen.get((metric, event.key), 0)
        seen[metric, event.key] = occurrence + 1
        fitted = rule.fitting.event(payload(event))
        if isinstance(fitted, Refusal):
            refusals.append(fitted)
            continue
        own = f"of:{profile['id']}:{event.mark}" if mark is None and event.mark else mark
        for each in fitted:
            whole = event.key + key + (f"\x1d{each.part}" if each.part else "")
            drafts.append(_draft("event", metric, whole, occurrence, each.payload, own))
    return drafts, refusals


def _draft(
    kind: str, target: str, key: str, occurrence: int, made: dict[str, Any], mark: str | None
) -> Draft:
    """With a mark, the payload says under ``once`` what there may be one of."""
    if mark is not None:
        made = made | {"once": marked(kind, target, key, occurrence, mark)}
    return Draft(kind, target, key, occurrence, orjson.dumps(made), "slimmed" in made)
