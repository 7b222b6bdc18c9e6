"""Which address and number of a person are the newest, so that none brings back one that was replaced.

Lanes do not wait for each other, and Klaviyo takes identifiers from whatever names a person: an event that
waited would set the address back that it came with. So the profiles lane writes down, before its call leaves,
what it tells and since when that holds; whoever names the person then says what is newer.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

import orjson

from streams.deliver.family import Read
from streams.deliver.row import Row

Known = dict[str, list[Any]]
"""Identifier → its value, and the time of the event that gave it, ms."""
NOTHING: Final[Known] = {}
_SINCE: Final[Mapping[str, str]] = {"email": "email_at", "phone_number": "phone_at"}


def addresses_key(profile_id: str) -> bytes:
    """Where a profile's newest address and number stand."""
    return b"a/" + profile_id.encode()


def known(row: Row, read: Read) -> Known:
    """What the row's person was last said to have; empty for somebody of whom no update was sent."""
    value = read(addresses_key(row.person))
    return orjson.loads(value) if value else NOTHING


def newer(row: Row, said: Known) -> dict[str, str]:
    """What the row's person has by now of what may be replaced, where the row is known to be from before."""
    return {name: text for name, (text, at) in said.items() if 0 <= _since(row, name) < at}


def newest(who: Mapping[str, str], row: Row, said: Known) -> dict[str, str]:
    """The row's identifiers, those that were replaced since it was made as they are now."""
    now = newer(row, said)
    return {name: now.get(name, text) for name, text in who.items()}


def told(who: Mapping[str, str], row: Row, said: Known) -> Known:
    """What is said of a person after the row: the newer of each identifier."""
    more: Known = {name: [who[name], _since(row, name)] for name in _SINCE if name in who}
    return said | {name: entry for name, entry in more.items() if entry[1] >= max(0, _at(said, name))}


def _since(row: Row, name: str) -> int:
    profile = cast("Mapping[str, int]", row.into or row.op["profile"])
    return profile.get(_SINCE[name], -1)


def _at(said: Known, name: str) -> int:
    return int(said[name][1]) if name in said else -1
