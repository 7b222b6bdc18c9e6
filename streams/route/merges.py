"""Merges: whom an event joined, as operations for every account of the space."""

from collections.abc import Iterable

import orjson

from streams.klaviyo.operation import FAMILIES, Operation, op_id
from streams.segment.envelope import Envelope, Origin, Profile

_KIND = "merge"
TOPIC = f"klaviyo.{FAMILIES[_KIND]}"


def merges(
    accounts: Iterable[str], envelope: Envelope, origin: Origin, winner: Profile, losers: Iterable[Profile]
) -> list[tuple[str, str, Operation]]:
    """Topic, account and operation for each account and loser.

    No rule is asked: whatever the event itself is good for, the people are one from now on.

    Args:
        accounts: of the event's space.
        envelope: the event that joined them.
        origin: where it entered the line.
        winner: the profile that stays, with all that is known of it now.
        losers: as they were before.
    """
    return [
        (TOPIC, account, _operation(account, envelope, origin, winner, loser))
        for account in accounts
        for loser in losers
    ]


def _operation(
    account: str, envelope: Envelope, origin: Origin, winner: Profile, loser: Profile
) -> Operation:
    return Operation(
        op_id=op_id(account, envelope["uid"], _KIND, loser["id"]),
        account=account,
        kind=_KIND,
        origin=origin,
        event_id=envelope["event_id"],
        profile=winner,
        time=envelope["time"],
        backfill=False,
        payload=orjson.dumps({"loser": loser}),
    )
