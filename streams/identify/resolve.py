"""One event after another: which identifiers it shows, whom they belong to, whom that joins."""

from dataclasses import dataclass
from typing import Final

from streams.identify.people import ANONYMOUS_KEPT, USER_IDS_KEPT, Person, View
from streams.segment.envelope import Identity
from streams.segment.identifiers import normal_email, normal_phone, somebody

LONGEST_ID: Final = 255
"""Klaviyo's limit for an external_id; a longer user id is nobody's."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the configuration says about identity."""

    merge_on_phone: bool = False
    blocked: frozenset[str] = frozenset()
    shared_device_people: int = 5
    max_user_ids: int = 5
    default_country: str | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """The identifiers of one event, normalised; None where there is none or it stands for nobody."""

    user_id: str | None
    email: str | None
    phone: str | None
    anonymous_id: str | None
    previous_id: str | None

    def strong(self, policy: Policy) -> list[str]:
        """Typed identifiers that join people, strongest first."""
        found = []
        if self.user_id:
            found.append("u:" + self.user_id)
        if self.email:
            found.append("e:" + self.email)
        if self.phone and policy.merge_on_phone:
            found.append("p:" + self.phone)
        return found


def shown(event: Identity, policy: Policy) -> Shown:
    """Read an event's identifiers."""
    user_id = somebody(event["user_id"], policy.blocked)
    email = somebody(event["email"], policy.blocked)
    if email is None and user_id is not None and "@" in user_id:
        email = user_id
    phone = somebody(event["phone"], policy.blocked)
    normal = normal_email(email) if email else None
    return Shown(
        user_id=user_id if user_id and len(user_id) <= LONGEST_ID else None,
        email=None if normal is not None and somebody(normal, policy.blocked) is None else normal,
        phone=normal_phone(phone, country_code(event["country"]) or policy.default_country)
        if phone
        else None,
        anonymous_id=somebody(event["anonymous_id"], policy.blocked),
        previous_id=somebody(event["previous_id"], policy.blocked),
    )


def country_code(country: str) -> str | None:
    """ISO 3166 alpha-2 where the trait is one."""
    return country.upper() if len(country) == 2 and country.isalpha() else None


def keys_of(seen: Shown, policy: Policy) -> list[bytes]:
    """State keys that an event will read, so that a batch reads them at once."""
    keys = [b"i" + identifier.encode() for identifier in seen.strong(policy)]
    if seen.anonymous_id:
        keys.append(b"a" + seen.anonymous_id.encode())
    return keys


def resolve(event: Identity, seen: Shown, rank: int, view: View, policy: Policy) -> Person | None:
    """The person an event belongs to, joined and updated; None while nobody is known for its anonymous id.

    Args:
        event: what the envelope says.
        seen: its identifiers.
        rank: the event's offset, which becomes the rank of a profile it creates.
        view: the state.
        policy: the configuration's.
    """
    at = min(event["time"], event["accepted_at"])
    strong = _admissible(seen, view, policy)
    if event["type"] == "alias" and seen.previous_id and view.owner("u:" + seen.previous_id):
        strong.append("u:" + seen.previous_id)
    if strong:
        person = _join(strong, rank, view)
        _update(person, seen, strong, at, event["type"] == "identify", view)
        for anonymous_id in (seen.anonymous_id, _anonymous_previous(event, seen, strong)):
            if anonymous_id:
                _point(anonymous_id, person, at, event["event_id"], view, policy)
        return person
    if seen.anonymous_id:
        pointer = view.pointer(seen.anonymous_id)
        if pointer.person is not None and pointer.people <= policy.shared_device_people:
            return view.person(pointer.person)
    return None


def create_anonymous(anonymous_id: str, rank: int, at: int, event_id: str, view: View) -> Person:
    """A profile for an anonymous id by itself, where the configuration sends those."""
    person = view.create("a:" + anonymous_id, rank)
    person.anonymous_ids.append(anonymous_id)
    pointer = view.pointer(anonymous_id)
    pointer.person, pointer.at, pointer.event_id, pointer.people = person.id, at, event_id, 1
    view.touch_pointer(anonymous_id)
    return person


def _anonymous_previous(event: Identity, seen: Shown, strong: list[str]) -> str | None:
    """An alias's previousId that is no known user id is an anonymous id: a pointer."""
    if event["type"] == "alias" and seen.previous_id and "u:" + seen.previous_id not in strong:
        return seen.previous_id
    return None


def _admissible(seen: Shown, view: View, policy: Policy) -> list[str]:
    """The strong identifiers without those that too many user ids share: junk must not chain people."""
    strong = seen.strong(policy)
    if not seen.user_id or len(strong) < 2:
        return strong
    kept = strong[:1]
    for identifier in strong[1:]:
        owner = view.owner(identifier)
        if owner is None or seen.user_id in owner.user_ids or len(owner.user_ids) < policy.max_user_ids:
            kept.append(identifier)
    return kept


def _join(strong: list[str], rank: int, view: View) -> Person:
    owners = {owner.id: owner for identifier in strong if (owner := view.owner(identifier)) is not None}
    if not owners:
        person = view.create(strong[0], rank)
    else:
        person, *losers = sorted(owners.values(), key=lambda owner: (owner.rank, owner.id))
        for loser in losers:
            _merge(person, loser, view)
    for identifier in strong:
        view.lead(identifier, person)
    return person


def _merge(winner: Person, loser: Person, view: View) -> None:
    view.joined(loser)
    loser.into = winner.id
    if loser.email_at > winner.email_at:
        winner.email, winner.email_at = loser.email, loser.email_at
    if loser.phone_at > winner.phone_at:
        winner.phone, winner.phone_at = loser.phone, loser.phone_at
    winner.user_id = winner.user_id or loser.user_id
    joining = [user_id for user_id in loser.user_ids if user_id not in winner.user_ids]
    winner.user_ids = (winner.user_ids + joining)[:USER_IDS_KEPT]
    joined = [a for a in loser.anonymous_ids if a not in winner.anonymous_ids] + winner.anonymous_ids
    winner.anonymous_ids = joined[-ANONYMOUS_KEPT:]
    view.touch(loser)
    view.touch(winner)


def _update(person: Person, seen: Shown, strong: list[str], at: int, states: bool, view: View) -> None:
    """Take in what an event shows; one that ``states`` what it says says it anew."""
    changed = False
    if _news(seen.email, person.email, at, person.email_at, states) and f"e:{seen.email}" in strong:
        person.email, person.email_at, changed = seen.email, at, True
    if _news(seen.phone, person.phone, at, person.phone_at, states) and _free(seen.phone, person, view):
        person.phone, person.phone_at, changed = seen.phone, at, True
        view.lead(f"p:{seen.phone}", person)
    if seen.user_id and seen.user_id not in person.user_ids and len(person.user_ids) < USER_IDS_KEPT:
        person.user_ids.append(seen.user_id)
        person.user_id, changed = person.user_id or seen.user_id, True
    if seen.anonymous_id and seen.anonymous_id not in person.anonymous_ids[-1:]:
        kept = [a for a in person.anonymous_ids if a != seen.anonymous_id]
        person.anonymous_ids, changed = [*kept, seen.anonymous_id][-ANONYMOUS_KEPT:], True
    if changed:
        view.touch(person)


def _news(value: str | None, before: str | None, at: int, since: int, states: bool) -> bool:
    """Whether an identifier counts: another one, if it is no older, or the same one that holds still."""
    return value is not None and (at >= since if value != before else states and at > since)


def _free(phone: str | None, person: Person, view: View) -> bool:
    """Whether nobody else has the number: under one, Klaviyo has one profile, and two would become one."""
    owner = view.owner(f"p:{phone}")
    return owner is None or owner.id == person.id or owner.phone != phone


def _point(anonymous_id: str, person: Person, at: int, event_id: str, view: View, policy: Policy) -> None:
    """Point at the latest person seen with it, by event time and then event id."""
    pointer = view.pointer(anonymous_id)
    before = None if pointer.person is None else view.person(pointer.person).id
    if before == person.id and pointer.at >= at:
        return
    if before != person.id:
        pointer.people = min(pointer.people + 1, policy.shared_device_people + 1)
    if (at, event_id) >= (pointer.at, pointer.event_id):
        pointer.person, pointer.at, pointer.event_id = person.id, at, event_id
    view.touch_pointer(anonymous_id)
