"""Where consent stands in the slot's state: under each name that a person has had."""

from collections.abc import Iterator
from typing import Final

from streams.deliver import notices
from streams.deliver.consent import permission
from streams.deliver.consent.permission import Mark
from streams.deliver.family import Read
from streams.deliver.row import Row
from streams.klaviyo.observations import stranger

_CONSENT: Final = b"c/"


def consent_key(profile_id: str) -> bytes:
    """Where a profile's marks stand."""
    return _CONSENT + profile_id.encode()


def profile_of(key: bytes) -> str | None:
    """Whose marks stand under a key; None for a key of anything else."""
    return key.removeprefix(_CONSENT).decode() if key.startswith(_CONSENT) else None


def doubt_key(op_id: str) -> bytes:
    """Where it stands that a call left that may make Klaviyo ask for a confirmation."""
    return b"d/" + op_id.encode()


def known(row: Row, read: Read) -> dict[str, Mark]:
    """All that was said of the row's person.

    A profile's own marks, those of the profiles that were merged into it, and those that Klaviyo told of its
    address before anybody here knew whose it is. Only a profile's own marks are written again, so that no
    two calls write the same ones.
    """
    marks: dict[str, Mark] = {}
    for name in dict.fromkeys(_names(row, read)):
        if (value := read(consent_key(name))) is not None:
            marks = (
                permission.join(marks, permission.read(value).items()) if marks else permission.read(value)
            )
    return marks


def _names(row: Row, read: Read) -> Iterator[str]:
    yield row.person
    yield row.who
    # a row that was tried before a merge keeps its name, and still it is the winner's person
    into = notices.winner(row.person, read)
    winner = row.person if into is None else into["id"]
    yield winner
    yield from notices.absorbed(winner, read)
    for profile in (row.op["profile"], row.into):
        if profile is not None:
            yield from filter(None, (stranger(profile["email"], None), stranger(None, profile["phone"])))
