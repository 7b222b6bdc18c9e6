"""Identity in memory: one union-find for each space, and what waits until somebody is known. Pure."""

from dataclasses import dataclass, field

from streams.config import Config
from streams.identify.holds import HOUR_MS
from streams.identify.people import View
from streams.identify.resolve import Policy, Shown, create_anonymous, resolve, shown
from streams.ledger.reasons import Outcome, Reason
from streams.route.dry_run import Fate, Person
from streams.route.rules import Router
from streams.segment.envelope import Envelope


@dataclass(slots=True)
class _Space:
    """One space's people; ``held`` has number and accepted-at of what waits for each anonymous id."""

    view: View = field(default_factory=lambda: View(lambda _: None))
    held: dict[str, list[tuple[int, int]]] = field(default_factory=dict)


class People:
    """Who each envelope belongs to, as identify decides it from an empty state."""

    def __init__(self, config: Config, router: Router) -> None:
        identity = config.identity
        self._policy = Policy(
            merge_on_phone=identity.merge_on_phone,
            blocked=frozenset(value.lower() for value in identity.blocked),
            shared_device_people=identity.shared_device_people,
            max_user_ids=identity.max_user_ids,
            default_country=identity.default_country,
        )
        self._anonymous = identity.anonymous
        self._hold_each = identity.hold_each
        self._hold_ms = int(identity.hold_hours * HOUR_MS)
        self._late_ms = int(identity.late_hours * HOUR_MS)
        self._wanted = router.wanted
        self._spaces: dict[str, _Space] = {}

    def __call__(self, envelope: Envelope, number: int) -> Person | Fate:
        """The person of an envelope, with whatever that releases; or why it goes no further."""
        space = self._spaces.setdefault(envelope["space"], _Space())
        seen = shown(envelope, self._policy)
        person = resolve(envelope, seen, number, space.view, self._policy)
        merged = tuple(space.view.take_merged())
        if person is None and seen.anonymous_id is not None and self._anonymous == "send":
            at = min(envelope["time"], envelope["accepted_at"])
            person = create_anonymous(seen.anonymous_id, number, at, envelope["event_id"], space.view)
        if person is None:
            return self._unknown(envelope, seen, number, space)
        profile = person.profile()
        profile["anonymous_ids"] = list(profile["anonymous_ids"])
        pointed = seen.anonymous_id and space.view.pointer(seen.anonymous_id).person == person.id
        waiting = space.held.pop(seen.anonymous_id or "", []) if pointed else []
        ages = ((held, envelope["accepted_at"] - at) for held, at in waiting)
        return Person(profile, tuple((held, age > self._late_ms) for held, age in ages), merged)

    def _unknown(self, envelope: Envelope, seen: Shown, number: int, space: _Space) -> Fate:
        if seen.anonymous_id is None:
            detail = f"no usable identifier: userId {envelope['user_id']!r}, email {envelope['email']!r}"
            return Fate(Outcome.DEAD_LETTERED, f"{Reason.NO_IDENTIFIER}:{detail}")
        if self._anonymous == "drop":
            return Fate(Outcome.FILTERED, Reason.ANONYMOUS)
        if not self._wanted(envelope["type"], envelope["name"]):
            return Fate(Outcome.FILTERED, Reason.NOT_WANTED)
        waiting = space.held.setdefault(seen.anonymous_id, [])
        if len(waiting) >= self._hold_each:
            return Fate(Outcome.FILTERED, Reason.HOLD_FULL)
        waiting.append((number, envelope["accepted_at"]))
        return Fate(Outcome.HELD, Reason.ANONYMOUS)
