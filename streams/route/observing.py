"""What Klaviyo reports about consent, as an operation that tells the consent lane: nobody else is asked."""

from collections.abc import Mapping
from typing import Any

import orjson

from streams.klaviyo.observations import Observation, observation, stranger
from streams.klaviyo.operation import Operation, op_id
from streams.route.engagement import LIST_IDS, LIST_NAMES, event_uid, properties_of
from streams.segment.envelope import Engagement, Origin, Profile

TOPIC = "klaviyo.consent"


def observed(engagement: Engagement, profile: Profile, origin: Origin) -> Operation | None:
    """The observation in one Klaviyo event; None where there is none, or nobody it could be about.

    Somebody the line does not know goes under a name made of the address: it is found again when they appear.
    """
    said = observation(engagement["topic"])
    who = profile["id"] or stranger(profile["email"], profile["phone"])
    if said is None or who is None:
        return None
    payload = _payload(said, engagement)
    if payload is None:
        return None
    return Operation(
        op_id=op_id(engagement["account"], event_uid(engagement), "observed", said.channel),
        account=engagement["account"],
        kind="observed",
        origin=origin,
        event_id=engagement["event_id"],
        profile={**profile, "id": who},
        time=engagement["time"],
        backfill=False,
        payload=orjson.dumps(payload),
    )


def _payload(said: Observation, engagement: Engagement) -> dict[str, Any] | None:
    payload: dict[str, Any] = {"channels": {said.channel: [said.kind]}, "status": said.status}
    if said.of_list:
        event = properties_of(engagement)
        # of a list nobody names nothing can be kept; it is no word about all of them
        named = _first(event, LIST_IDS, "list") or _first(event, LIST_NAMES, "list_name")
        return payload | named if named else None
    return payload


def _first(event: Mapping[str, Any], names: tuple[str, ...], under: str) -> dict[str, str]:
    found = next((value for name in names if isinstance(value := event.get(name), str) and value), None)
    return {under: found} if found else {}
