"""One operation of the consent lane, from its payload to what there is to say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from streams.deliver.consent import permission
from streams.deliver.consent.permission import Mark, Word
from streams.deliver.family import NotSent, Prepared
from streams.deliver.lists import audiences
from streams.klaviyo import consents, requests
from streams.klaviyo.consents import Person
from streams.klaviyo.operation import Operation
from streams.ledger.reasons import Reason

Step = Literal[
    "name", "id", "create", "size", "look", "subscribe", "unsubscribe", "suppress", "unsuppress",
    "superseded", "same", "not_member", "observed", "refused",
]  # fmt: skip
"""What a row needs next; the last five end it without a call."""
_OBSERVED: Final = {"subscribed": "subscribe", "unsubscribed": "unsubscribe", "suppressed": "suppress"}
_MARKETING: Final[Mapping[str, list[str]]] = {"email": ["marketing"]}


@dataclass(slots=True)
class Ready:
    """One operation, and what it needs next. ``by``: the identifier it is looked up by."""

    word: Word
    who: dict[str, str]
    by: tuple[str, str]
    list: str = ""
    observed: bool = False
    dated: bool = False
    """The rule says when consent was given: before, and elsewhere."""
    step: Step = "name"
    list_step: Step = "name"
    named_after: int = 0
    """How many attempts there had been when the list's name was looked up."""
    turn: int = 0
    """Of sorting, in which it came to ask for its list."""
    looked_anew: bool = False
    """Klaviyo did not know the list that it had shown: it was looked up once more."""
    double_opt_in: bool = False
    doubt: bool | None = None
    """Whether a call that makes Klaviyo ask for a confirmation may have been taken; None: not yet known."""
    known: Mapping[str, Mark] = field(default_factory=dict)
    """What the state holds."""
    marks: Mapping[str, Mark] = field(default_factory=dict)
    """The same with what waits."""
    asked_at: int = permission.NEVER
    """When Klaviyo was last asked about the person, ms."""
    counted: bool = False
    """The guard knows that it leaves its list, or everything."""
    subscribed: bool | None = None
    """Whether Klaviyo shows somebody who is to leave everything as subscribed; None: not asked."""
    membership: tuple[bool, int] | None = None
    historical: bool = False

    @property
    def open(self) -> tuple[str, ...]:
        """The parts that may be sent."""
        return permission.open_parts(self.word, self.marks)

    @property
    def confirms(self) -> bool:
        """Whether the call makes Klaviyo ask the person for a confirmation."""
        return self.step == "subscribe" and self.double_opt_in and not self.historical

    def person(self) -> Person:
        """Whom the call is about; an identifier that no part needs could only do harm."""
        needed = _needed(self.open)
        who = {name: value for name, value in self.who.items() if name in needed}
        return Person(who, self.open, requests.iso(self.word.time) if self.historical else None)


def asked(op: Operation, payload: Mapping[str, Any]) -> Prepared | NotSent:
    """An operation that somebody wants."""
    found = audiences.identified(op)
    if isinstance(found, NotSent):
        return found
    who, kind = found.who, op["kind"]
    channels = _MARKETING if kind in ("suppress", "unsuppress") else _channels(payload)
    wanted = _parts(channels)
    parts = tuple(part for part in wanted if _possible(part, who))
    if not parts:
        return NotSent(Reason.REJECTED, f"not sent: no channel it can be said for, asked for {channels}")
    time = _time(op, payload.get("consented_at") if kind == "subscribe" else None)
    if time is None:
        return NotSent(Reason.REJECTED, f"not sent: consented_at is no date: {payload['consented_at']}")
    source = str(payload.get("custom_source") or "") if kind == "subscribe" else ""
    ref = str(payload.get("list") or "").strip() if kind in ("subscribe", "unsubscribe") else ""
    needed = _needed(parts)
    by = next((name, who[name]) for name in ("email", "phone_number") if name in needed)
    ignored = tuple(part for part in wanted if part not in parts)
    word, dated = Word(kind, parts, time, source=source), bool(payload.get("consented_at"))
    return Prepared(Ready(word, who, by, ref, dated=dated), len(op["payload"]), ignored)


def observed(op: Operation, payload: Mapping[str, Any]) -> Prepared | NotSent:
    """What Klaviyo says happened there: it only changes what is known."""
    kind = _OBSERVED.get(str(payload.get("status")))
    if kind is None:
        return NotSent(Reason.REJECTED, f"the status of consent is {payload.get('status')!r}")
    at = permission.moment(payload.get("at"))
    time = min(op["time"] if at is None else at, op["origin"]["accepted_at"])
    parts = _parts(_channels(payload)) or _parts(_MARKETING)
    list_id = str(payload.get("list") or "")
    name = "" if list_id else str(payload.get("list_name") or "").strip()
    word = Word(kind, parts, time, list_id, "klaviyo")
    return Prepared(Ready(word, {}, ("", ""), name, observed=True), len(op["payload"]))


def _time(op: Operation, given: object) -> int | None:
    """When it was said, ms: as given, but not after its event; None when that is no date."""
    time = min(op["time"], op["origin"]["accepted_at"])
    if not given:
        return time
    at = permission.moment(given)
    return None if at is None else min(time, at)


def _parts(channels: Mapping[str, list[str]]) -> tuple[str, ...]:
    return tuple(f"{channel}.{name}" for channel, names in channels.items() for name in names)


def _possible(part: str, who: Mapping[str, str]) -> bool:
    channel, _, name = part.partition(".")
    return name in consents.KINDS.get(channel, ()) and consents.NEEDS[channel] in who


def _needed(parts: tuple[str, ...]) -> set[str]:
    return {consents.NEEDS[part.partition(".")[0]] for part in parts}


def _channels(payload: Mapping[str, Any]) -> Mapping[str, list[str]]:
    given = payload.get("channels")
    if not isinstance(given, Mapping):
        return _MARKETING
    return {
        str(channel): [str(name) for name in names] if isinstance(names, list) else ["marketing"]
        for channel, names in given.items()
    }
