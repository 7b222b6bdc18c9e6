"""A number that Klaviyo refuses costs itself, never the person: the row goes again without it. Pure.

Klaviyo itself passes over such a number in some calls and refuses the row for it in others: one of a country
where the account has none to send from, say.
"""

from collections.abc import Iterable
from typing import Final

from streams.deliver.family import Family, Prepared
from streams.deliver.row import Row, Settled
from streams.ledger.reasons import Reason

_FIELD: Final = "phone_number"


def over(family: Family, ends: Iterable[Settled]) -> list[Settled]:
    """Ends that are ends: a row that was refused for its number is prepared anew, if anything is left."""
    return [end for end in ends if not (_is_refused(end) and _without(family, end.row))]


def _is_refused(end: Settled) -> bool:
    return end.reason == Reason.REJECTED and end.detail.endswith(f"/{_FIELD}")


def _without(family: Family, row: Row) -> bool:
    profile = row.into or row.op["profile"]
    if profile["phone"] is None or _FIELD in row.ignored:
        return False
    # what is to be sent was in time when it was first prepared
    prepared = family.prepare({**row.op, "profile": {**profile, "phone": None}}, row.op["time"])
    if not isinstance(prepared, Prepared):
        return False
    row.ready, row.size, row.ignored = prepared.ready, prepared.size, (*prepared.ignored, _FIELD)
    return True
