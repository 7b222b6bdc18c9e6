"""What merges and erasures leave for the other lanes, read as rows are about to be sent."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, cast

import orjson

from streams.deliver.family import Read
from streams.deliver.row import Row, by_profile
from streams.klaviyo.operation import Operation
from streams.segment.envelope import Profile

FAMILY: Final = "admin"
"""Whose operations leave notices, and heed none."""
REDIRECTS: Final = b"r/"
TOMBSTONES: Final = b"x/"
_CHAIN: Final = 16
_TYPED: Final[Mapping[str, str]] = {"id": "", "email": "e:", "phone": "p:", "user_id": "u:"}


def redirect_key(profile_id: str) -> bytes:
    """Where it is remembered whom a profile was merged into."""
    return REDIRECTS + profile_id.encode()


def redirect_form(into: Profile, now_ms: int) -> bytes:
    """The winner as the state holds it, and since when."""
    return orjson.dumps({"into": into, "at": now_ms})


def absorbed_key(profile_id: str) -> bytes:
    """Where it is remembered who was merged into a profile."""
    return b"w/" + profile_id.encode()


def absorbed_form(profile_id: str, loser: str, read: Read) -> bytes:
    """Who was merged into a profile, with one more."""
    value = read(absorbed_key(profile_id))
    return orjson.dumps(sorted({loser, *(orjson.loads(value) if value else ())}))


def absorbed(profile_id: str, read: Read) -> list[str]:
    """Who was merged into the profile, and into those in turn."""
    found: dict[str, None] = {profile_id: None}
    for who in (waiting := [profile_id]):
        value = read(absorbed_key(who))
        more = [loser for loser in (orjson.loads(value) if value else ()) if loser not in found]
        found.update(dict.fromkeys(more))
        waiting += more
    return waiting[1:]


def winner(profile_id: str, read: Read, by_ms: int | None = None) -> Profile | None:
    """Whom the profile was merged into, and that one in turn; None for one that was not, or not ``by_ms``."""
    found: Profile | None = None
    for _ in range(_CHAIN):
        value = read(redirect_key(found["id"] if found else profile_id))
        if value is None:
            break
        redirect = orjson.loads(value)
        if by_ms is not None and redirect["at"] > by_ms:
            break
        found = cast("Profile", redirect["into"])
    return found if found is None or found["id"] != profile_id else None


def merged(winner_id: str, loser_id: str, into: Profile, now_ms: int, read: Read) -> dict[bytes, bytes]:
    """What a merge writes: what comes for the loser goes under the winner's name; and whose past is whose."""
    if loser_id == winner_id:
        return {}
    return {
        redirect_key(loser_id): redirect_form(into, now_ms),
        absorbed_key(winner_id): absorbed_form(winner_id, loser_id, read),
    }


def tombstones(op: Operation) -> dict[bytes, bytes]:
    """What an erasure writes: for each identifier when it was accepted, and where."""
    origin = op["origin"]
    value = orjson.dumps([origin["accepted_at"], origin["partition"], origin["offset"]])
    return dict.fromkeys(_tombstone_keys(op["profile"]), value)


def erased(row: Row, read: Read) -> bool:
    """Whether the row was accepted before its person was erased."""
    who = [row.op["profile"]] if row.into is None else [row.op["profile"], row.into]
    return any(
        _before(row.op, orjson.loads(value))
        for profile in who
        for key in _tombstone_keys(profile)
        if (value := read(key)) is not None
    )


def erased_at(profile_id: str, read: Read) -> int:
    """Until when what was accepted of a profile is erased, ms; 0 if it never was."""
    value = read(_tombstone("", profile_id))
    return 0 if value is None else int(orjson.loads(value)[0])


def within(rows: Sequence[Row], size: int) -> tuple[list[Row], list[Row]]:
    """Of each profile so many rows as keep within a size, and the rest."""
    kept: list[Row] = []
    later: list[Row] = []
    for own in by_profile(rows):
        room = size
        for number, row in enumerate(own):
            room -= row.size
            if number and room < 0:
                later += own[number:]
                break
            kept.append(row)
    return kept, later


def _before(op: Operation, at: list[int]) -> bool:
    origin, (time, partition, offset) = op["origin"], at
    if origin["accepted_at"] != time:
        return origin["accepted_at"] < time
    return origin["partition"] != partition or origin["offset"] <= offset


def _tombstone_keys(profile: Profile) -> list[bytes]:
    given = cast("Mapping[str, Any]", profile)
    return [_tombstone(kind, value) for name, kind in _TYPED.items() if (value := given.get(name))]


def _tombstone(kind: str, value: str) -> bytes:
    return TOMBSTONES + blake2b((kind + value).encode(), digest_size=16).hexdigest().encode()
