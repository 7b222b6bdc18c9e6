"""The consent that a slot's state holds, as rows for people: each profile, channel and list as it counts."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import orjson

from streams.deliver import notices
from streams.deliver.consent import permission
from streams.deliver.consent.permission import NEVER, SUPPRESSED, Mark, Marks
from streams.deliver.consent.standing import consent_key, profile_of
from streams.deliver.family import Read
from streams.deliver.lists import lookups
from streams.klaviyo.observations import stranger
from streams.klaviyo.requests import iso
from streams.segment.envelope import Profile

State = Literal["subscribed", "unsubscribed", "suppressed", "unsuppressed"]
_Said = tuple[State, int, str | None]
"""Since when, ms, and the source as the mark has it; None: not kept."""
_EMAIL: Final = "email.marketing"
_KLAVIYO: Final = "klaviyo"
_CHANNELS: Final = {"mobile_push": "push"}
"""Klaviyo's names of channels that are called otherwise here."""
_ABSORBED: Final = notices.absorbed_key("")
_LISTS: Final = lookups.list_key("")
_KEPT: Final = (consent_key(""), _ABSORBED, _LISTS, notices.TOMBSTONES)


@dataclass(frozen=True, slots=True)
class Stated:
    """One row. ``at``: ISO 8601, when the event said so; ``suppressed``: of email, whatever the state."""

    profile_id: str
    email: str
    phone: str
    channel: str
    kind: str
    list_id: str
    list_name: str
    state: State
    at: str
    source: str
    custom_source: str
    suppressed: bool


def kept(key: bytes, _: bytes) -> bool:
    """Which entries of the state rows are made of."""
    return key.startswith(_KEPT)


def people(state: Mapping[bytes, bytes]) -> dict[str, dict[str, Mark]]:
    """Profile id → marks; of merged profiles under the winner's, as they count for it."""
    winners = {
        loser: key.removeprefix(_ABSORBED).decode()
        for key, value in state.items()
        if key.startswith(_ABSORBED)
        for loser in orjson.loads(value)
    }
    found: dict[str, dict[str, Mark]] = {}
    for key, value in state.items():
        if (profile_id := profile_of(key)) is not None:
            name = _winner(profile_id, winners)
            found[name] = permission.join(found.get(name, {}), permission.read(value).items())
    return found


def _winner(profile_id: str, winners: Mapping[str, str]) -> str:
    seen = {profile_id}
    while (into := winners.get(profile_id)) is not None and into not in seen:
        seen.add(profile_id := into)
    return profile_id


def strangers(profile: Profile) -> list[str]:
    """The names under which Klaviyo's words of a profile stand while nobody here knows whose they are."""
    return [*filter(None, (stranger(profile["email"], None), stranger(None, profile["phone"])))]


def lists(state: Mapping[bytes, bytes]) -> dict[str, str]:
    """What is known of lists: id → name, the id itself where only that was ever said."""
    found: dict[str, str] = {}
    for key, value in state.items():
        if key.startswith(_LISTS) and (list_id := orjson.loads(value).get("id")):
            ref = key.removeprefix(_LISTS).decode()
            if ref != list_id or list_id not in found:
                found[list_id] = ref
    return found


def rows(
    known: Mapping[str, Mapping[str, Mark]], profiles: Iterable[Profile], state: Mapping[bytes, bytes]
) -> Iterator[Stated]:
    """All rows, by profile id.

    Args:
        known: of ``people``.
        profiles: those whose addresses are known.
        state: of the slot, what is ``kept``.
    """
    named = {profile["id"]: profile for profile in profiles}
    heard = {who: known.keys() & strangers(profile) for who, profile in named.items()}
    nobody_else = known.keys() - set().union(*heard.values())
    names = lists(state)
    for profile_id in sorted(nobody_else | {who for who, own in heard.items() if own}):
        profile = named.get(profile_id)
        marks = dict(known.get(profile_id, {}))
        for name in heard.get(profile_id, ()):
            marks = permission.join(marks, known[name].items())
        yield from _of_person(profile_id, profile, marks, names, state.get)


def _of_person(
    profile_id: str, profile: Profile | None, marks: Marks, names: Mapping[str, str], read: Read
) -> Iterator[Stated]:
    newest = max((max(mark.yes, mark.no, mark.seen) for mark in marks.values()), default=NEVER)
    if profile is None or notices.erased_at(profile_id, read) >= newest:
        email = phone = ""  # whoever was erased has no address any more
    else:
        email, phone = profile["email"] or "", profile["phone"] or ""
    suppressed = _suppressed(marks)
    for name in sorted(marks):
        part, _, list_id = name.partition("@")
        channel, _, kind = ("email", "", "") if name == SUPPRESSED else part.partition(".")
        said = _suppression(marks) if name == SUPPRESSED else _state(marks[name], marks.get(part, Mark()))
        if said is not None:
            state, at, source = said
            yield Stated(
                profile_id, email, phone, _CHANNELS.get(channel, channel), kind, list_id,
                names.get(list_id, ""), state, iso(at), *_whose(source),
                suppressed=suppressed and channel == "email",
            )  # fmt: skip


def _whose(source: str | None) -> tuple[str, str]:
    """The source, and the rule's ``custom_source``."""
    if source is None or source == _KLAVIYO:
        return source or "", ""
    return "rule", source


def _state(mark: Mark, channel: Mark) -> _Said | None:
    """What counts for a list or a channel, since when and by whom: a channel's no is one to its lists."""
    no = mark if mark.no >= channel.no else channel
    if mark.yes > no.no:
        return "subscribed", mark.yes, mark.source
    if no.no > NEVER:
        # a mark keeps the source of its newest word only
        return "unsubscribed", no.no, no.source if no.no >= no.yes else None
    return ("subscribed", mark.seen, _KLAVIYO) if mark.seen > NEVER else None


def _suppressed(marks: Marks) -> bool:
    no = marks.get(SUPPRESSED, Mark()).no
    return no > NEVER and no >= _opened(marks)


def _opened(marks: Marks) -> int:
    """When a suppression was lifted last: a subscription lifts it, too."""
    return max(marks.get(name, Mark()).yes for name in (SUPPRESSED, _EMAIL))


def _suppression(marks: Marks) -> _Said | None:
    mark, opened = marks[SUPPRESSED], _opened(marks)
    if _suppressed(marks):
        return "suppressed", mark.no, mark.source
    if opened == NEVER:
        return None
    return "unsuppressed", opened, (mark if mark.yes == opened else marks[_EMAIL]).source
