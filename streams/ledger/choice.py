"""Which records a replay takes: what became of them, and what they are. Pure."""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from streams.ledger.book import State
from streams.ledger.reasons import Reason

DAY_MS: Final = 86_400_000
SENT_MS: Final = 21 * DAY_MS
"""The lanes know for 28 days what they have sent; a week is left for a replay to wait behind live events."""
ANY: Final = "any"
NEVER: Final = frozenset({State.IN_FLIGHT, State.HELD})
"""Such a record is still on its way: a second copy would only follow the first."""
NOTHING_CAME: Final = (("filtered", None), ("expired", None), ("unaccounted", None))
"""What is taken unless it is said otherwise. Dead letters have their own way back: the redrive."""
NAMES: Final[Mapping[State, str]] = {State.UNKNOWN: "unaccounted"}
OUTCOMES: Final = tuple(
    NAMES.get(state, state.name.lower())
    for state in (
        State.UNKNOWN,
        State.DEAD_LETTERED,
        State.REFUSED,
        State.EXPIRED,
        State.DELIVERED,
        State.UNCHANGED,
        State.DUPLICATE,
        State.FILTERED,
    )
)
Place = tuple[str, int]
"""Line (``origin.line``) and partition."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a record, as the audit counts it; ``routed``: rules made deliveries of it before."""

    state: State
    reason: str = ""
    routed: bool = False

    @property
    def name(self) -> str:
        """As it is written: ``filtered:no_rule``."""
        name = NAMES.get(self.state, self.state.name.lower())
        return f"{name}:{self.reason}" if self.reason else name


@dataclass(slots=True)
class Fates:
    """The fates of many records, two bytes each."""

    _kinds: list[Fate | None] = field(default_factory=lambda: [None])
    _numbers: dict[Fate, int] = field(default_factory=dict)
    _found: dict[Place, "tuple[int, array[int]]"] = field(default_factory=dict)

    def note(self, place: Place, offset: int, fate: Fate) -> None:
        """Take in one; offsets of a place come in their order."""
        number = self._numbers.get(fate)
        if number is None:
            number = self._numbers[fate] = len(self._kinds)
            self._kinds.append(fate)
        low, numbers = self._found.setdefault(place, (offset, array("H")))
        numbers.extend(array("H", bytes(2 * (offset - low - len(numbers)))))
        numbers.append(number)

    def find(self, place: Place, offset: int) -> Fate | None:
        """What became of a record; None where nobody looked."""
        low, numbers = self._found.get(place, (0, ()))
        return self._kinds[numbers[offset - low]] if 0 <= offset - low < len(numbers) else None


@dataclass(frozen=True, slots=True)
class Choice:
    """Outcomes with or without a reason, and what the message is; None = any.

    ``name`` is a track's event or the name of a page or screen; ``event`` an event id.
    """

    outcomes: tuple[tuple[str, str | None], ...] = NOTHING_CAME
    space: str | None = None
    source: str | None = None
    type: str | None = None
    name: str | None = None
    event: str | None = None

    @classmethod
    def of(cls, known: Mapping[str, Any]) -> Self:
        """From its JSON form."""
        return cls(**{**known, "outcomes": tuple((name, why) for name, why in known["outcomes"])})

    def takes(self, fate: Fate) -> bool:
        """Whether a record of this fate is taken: never one on its way, nor a copy that dedupe dropped."""
        if fate.state in NEVER or (fate.state is State.DUPLICATE and not fate.routed):
            return False
        name = NAMES.get(fate.state, fate.state.name.lower())
        return any(each in (ANY, name) and why in (None, fate.reason) for each, why in self.outcomes)

    def matches(self, message: Mapping[str, Any]) -> bool:
        """Whether it is one of these messages (the envelope's fields)."""
        return (
            self.space in (None, message["space"])
            and self.source in (None, message["source"])
            and self.type in (None, message["type"])
            and self.name in (None, message["name"])
            and self.event in (None, message["event_id"])
        )


def parse_outcome(text: str) -> tuple[str, str | None]:
    """``filtered`` or ``filtered:no_rule``. Raises ValueError that says what there is."""
    name, _, reason = text.partition(":")
    if name not in (ANY, *OUTCOMES):
        raise ValueError(f"no outcome {name!r} to replay; there are {', '.join((*OUTCOMES, ANY))}")
    if reason and reason not in {each.value for each in Reason}:
        raise ValueError(f"no reason {reason!r}: --dry-run --outcome any shows those there are")
    return name, reason or None


def forgotten(fate: Fate, accepted_at: int, now: int) -> bool:
    """Whether a part of it may have been sent so long ago that no lane remembers it: times in ms."""
    return fate.routed and now - accepted_at > SENT_MS
