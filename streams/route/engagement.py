"""Template ``engagement.email``: what Klaviyo reports, as a call of Segment's email spec.

Source: Segment's spec "Email Events" and the events of its own Klaviyo source. The call carries a mark and
``integrations.Klaviyo: false``, so that it never comes back to Klaviyo.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from hashlib import blake2b
from typing import Any

import orjson

from streams.config import Config
from streams.config.paths import MISSING, compile_path
from streams.klaviyo.operation import Operation, op_id
from streams.ledger.reasons import Reason
from streams.segment.envelope import Engagement, Origin, Profile
from streams.segment.message import part

_EVENTS = {
    "opened_email": "Email Opened",
    "clicked_email": "Email Link Clicked",
    "bounced_email": "Email Bounced",
    "dropped_email": "Email Dropped",
    "marked_email_as_spam": "Email Marked as Spam",
    "email_delivered": "Email Delivered",
    "received_email": "Email Delivered",
    "unsubscribed": "Unsubscribed",
    "unsubscribed_from_email_marketing": "Unsubscribed",
    "unsubscribed_from_list": "Unsubscribed",
}
LIST_IDS = ("$list", "List ID", "list_id")
LIST_NAMES = ("List", "List Name", "list_name")
_PROPERTIES: dict[str, tuple[str, ...]] = {
    "email_id": ("$message", "Message ID", "message_id"),
    "email_subject": ("Subject", "subject"),
    "campaign_id": ("$campaign", "Campaign ID", "campaign_id", "$flow", "Flow ID", "$message"),
    "campaign_name": ("Campaign Name", "campaign_name", "Message Name", "$message_name"),
    "link_id": ("$link_id", "Link ID", "link_id"),
    "link_url": ("URL", "url", "$url"),
    "list_id": LIST_IDS,
    "list_name": LIST_NAMES,
    "bounce_type": ("Bounce Type", "bounce_type"),
}
"""Name in Segment's spec → names in Klaviyo's event, the first that is there."""


def engagement_call(
    config: Config, engagement: Engagement, profile: Profile, origin: Origin
) -> Operation | str:
    """The Segment call for one Klaviyo event, or the reason why there is none.

    The person is the user id, else the anonymous id last seen with them; the email address is never one:
    a call without an id that Segment knows would only make an orphan.
    """
    account = config.accounts.get(engagement["account"])
    topic = engagement["topic"]
    if account is None or account.segment is None:
        return f"{Reason.NOT_FORWARDED}:no segment write key for {engagement['account']}"
    if not any(fnmatchcase(topic, pattern) for pattern in config.engagement.forward):
        return f"{Reason.NOT_FORWARDED}:{topic}"
    if profile["user_id"]:
        who = {"userId": profile["user_id"]}
    elif profile["anonymous_ids"]:
        who = {"anonymousId": profile["anonymous_ids"][-1]}
    else:
        return Reason.NO_IDENTIFIER.value
    return Operation(
        op_id=op_id(engagement["account"], event_uid(engagement), "segment", "track"),
        account=engagement["account"],
        kind="segment",
        origin=origin,
        event_id=engagement["event_id"],
        profile=profile,
        time=engagement["time"],
        backfill=False,
        payload=orjson.dumps(_call(config, engagement, profile, who)),
    )


def _call(config: Config, engagement: Engagement, profile: Profile, who: dict[str, str]) -> dict[str, Any]:
    event = _event_of(engagement["body"])
    return {
        "type": "track",
        "messageId": f"klaviyo-{engagement['event_id']}",
        **who,
        "event": _name(engagement["topic"]),
        "properties": _properties(event, config.engagement.properties),
        "timestamp": _iso(engagement["time"]),
        "context": _context(engagement, profile),
        "integrations": {"Klaviyo": False},
    }


def event_uid(engagement: Engagement) -> bytes:
    """The root of the ids of all that follows from one Klaviyo event."""
    return blake2b(engagement["event_id"].encode("utf-8", "replace"), digest_size=16).digest()


def properties_of(engagement: Engagement) -> Mapping[str, Any]:
    """The event's own properties, wherever the item has them."""
    return part(part(_event_of(engagement["body"]), "attributes"), "event_properties")


def _name(topic: str) -> str:
    """The spec's name, else the topic's own in words."""
    short = topic.removeprefix("event:").removeprefix("klaviyo.")
    return _EVENTS.get(short) or short.replace("_", " ").title()


def _event_of(body: bytes) -> dict[str, Any]:
    """Klaviyo's event resource, wherever the item has it; an empty one where the body can't be read."""
    try:
        item = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    for holder in ("payload", "data"):
        if isinstance(item, dict) and isinstance(item.get(holder), dict):
            item = item[holder]
    return item if isinstance(item, dict) else {}


def _properties(event: Mapping[str, Any], further: Mapping[str, str]) -> dict[str, Any]:
    given = part(part(event, "attributes"), "event_properties")
    found: dict[str, Any] = {}
    for name, sources in _PROPERTIES.items():
        value = next((given[source] for source in sources if given.get(source) is not None), None)
        if value is not None:
            found[name] = value
    if "link_url" in found and "link_id" not in found:
        # The spec wants an id for each link; Klaviyo has none: the address names it, the same every time.
        address = str(found["link_url"]).encode("utf-8", "replace")
        found["link_id"] = blake2b(address, digest_size=8).hexdigest()
    for name, path in further.items():
        value = compile_path(path)(event)
        if value is not MISSING:
            found[name] = value
    return found


def _context(engagement: Engagement, profile: Profile) -> dict[str, Any]:
    mark = {
        "event_id": engagement["event_id"],
        "account": engagement["account"],
        "topic": engagement["topic"],
    }
    context: dict[str, Any] = {"klaviyo": mark}
    email = profile["email"] or engagement["email"]
    if email:
        context["traits"] = {"email": email}
    return context


def _iso(milliseconds: int) -> str:
    try:
        moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        moment = datetime.fromtimestamp(0, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
