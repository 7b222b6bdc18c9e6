"""Engagement events and the signed webhook calls that carry them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any
from urllib.parse import urlsplit

import orjson

from streams.simulators.control import Reply
from streams.simulators.klaviyo import identity, resources
from streams.simulators.klaviyo.config import Webhook
from streams.simulators.klaviyo.context import Context
from streams.simulators.klaviyo.errors import document
from streams.simulators.klaviyo.store import Consent, Event

MOST_EVENTS = 1000
"""Events in one webhook call."""
_METRICS = (
    "Received Email", "Opened Email", "Clicked Email", "Bounced Email", "Dropped Email",
    "Marked Email as Spam", "Unsubscribed", "Unsubscribed from Email Marketing", "Unsubscribed from List",
)  # fmt: skip
_CAMPAIGN = "Autumn arrivals"
_LINK = "https://shop.invalid/collections/autumn?utm_source=klaviyo"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook call, ready to send."""

    url: str
    body: bytes
    headers: dict[str, str]
    n: int


def signature(secret: str, body: bytes, timestamp: str) -> str:
    """Return the lower-case hex HMAC-SHA256 over the raw body and then the timestamp header."""
    return hmac.new(secret.encode(), body + timestamp.encode(), hashlib.sha256).hexdigest()


def topic(metric: str) -> str:
    """Return a metric's webhook topic: "Opened Email" -> `event:klaviyo.opened_email`."""
    return "event:klaviyo." + metric.lower().replace(" ", "_")


def wants(hook: Webhook, metric: str) -> bool:
    """Whether a webhook is called for events of a metric."""
    return hook.enabled and (not hook.topics or topic(metric) in hook.topics)


def get_webhooks(ctx: Context) -> Reply:
    """GET /api/webhooks: the account's own one; the address is cut, as the specification says."""
    hook = ctx.config.webhooks.get(ctx.account.name)
    shown = [_shown(ctx, hook)] if hook else []
    return document(200, {"data": shown, "links": {"self": f"{ctx.host}/api/webhooks/"}})


def _shown(ctx: Context, hook: Webhook) -> dict[str, Any]:
    own = f"{ctx.host}/api/webhooks/{hook.id}/"
    address = urlsplit(hook.url)
    attributes = {
        "name": hook.id,
        "description": None,
        "endpoint_url": f"{address.scheme}://{address.netloc}",
        "enabled": hook.enabled,
        "created_at": None,
        "updated_at": None,
    }
    topics = [{"type": "webhook-topic", "id": name} for name in hook.topics or map(topic, _METRICS)]
    links = {"self": f"{own}relationships/webhook-topics/", "related": f"{own}webhook-topics/"}
    related: dict[str, Any] = {"links": links}
    if ctx.query.get("include") == "webhook-topics":
        related["data"] = topics
    return {
        "type": "webhook",
        "id": hook.id,
        "attributes": attributes,
        "relationships": {"webhook-topics": related},
        "links": {"self": own},
    }


def engage(ctx: Context, email: str, metric_name: str, n: int, extra: dict[str, Any]) -> list[Event]:
    """Make `n` engagement events of one profile (made if unknown), each with its own id."""
    resource = {"type": "profile", "attributes": {"email": email}}
    profile = identity.of_event(ctx.account, resource, ctx.now, "")
    metric = ctx.account.metric(metric_name, "klaviyo", ctx.now)
    made = []
    for _ in range(n):
        seq = ctx.account.new_seq()
        properties = {**_properties(metric_name, email, seq), **extra}
        event_id = ctx.account.new_event_id(seq)
        event = Event(event_id, seq, profile.id, metric.id, None, int(ctx.now), properties, ctx.now)
        ctx.account.add_event(event, f"engagement-{seq}")
        made.append(event)
    profile.last_event = ctx.now
    if metric_name in ("Unsubscribed", "Unsubscribed from Email Marketing"):
        profile.consent[("email", "marketing")] = Consent("UNSUBSCRIBED", ctx.now, ctx.now)
        profile.suppressions["UNSUBSCRIBE"] = ctx.now
    elif metric_name == "Marked Email as Spam":
        profile.suppressions["SPAM_REPORT"] = ctx.now
    return made


def _properties(metric_name: str, email: str, seq: int) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "$event_id": f"01HCAMPAIGN:{seq}",
        "Subject": "New in this week",
        "Campaign Name": _CAMPAIGN,
        "$message": "01HCAMPAIGN",
        "$message_send_cohort": "1700000000:01HCAMPAIGN",
        "Email Domain": email.partition("@")[2],
        "Recipient Email Address": email,
    }
    if metric_name == "Clicked Email":
        properties |= {"URL": _LINK, "Client Type": "Browser", "Client OS": "macOS", "Client Name": "Chrome"}
    elif metric_name == "Opened Email":
        properties |= {"machine_open": False, "Client Type": "Email Client", "Client Name": "Apple Mail"}
    elif metric_name in ("Bounced Email", "Dropped Email"):
        properties |= {"Bounce Type": "Hard", "ESP": 0}
    elif metric_name.startswith("Unsubscribed"):
        properties |= {"Method": "Email link"}
    return properties


def deliveries(ctx: Context, hook: Webhook, metric: str, events: Sequence[Event]) -> list[Delivery]:
    """Pack events into signed webhook calls."""
    made = []
    stamp = formatdate(ctx.now, usegmt=True)
    for start in range(0, len(events), MOST_EVENTS):
        batch = events[start : start + MOST_EVENTS]
        data = [_item(ctx, metric, event) for event in batch]
        meta = {
            "klaviyo_account_id": resources.account(ctx.account, ctx)["id"],
            "klaviyo_webhook_id": hook.id,
            "timestamp": resources.iso(ctx.now),
        }
        body = orjson.dumps({"data": data, "meta": meta})
        headers = {
            "Content-Type": "application/json",
            "Klaviyo-Webhook-Id": hook.id,
            "Klaviyo-Timestamp": stamp,
            "Klaviyo-Signature": signature(hook.secret, body, stamp),
        }
        made.append(Delivery(hook.url, body, headers, len(batch)))
    return made


def _item(ctx: Context, metric: str, event: Event) -> dict[str, Any]:
    payload = resources.one(resources.event(event, ctx))
    profile = resources.profile(ctx.account.profiles[event.profile_id], ctx)
    payload["included"] = [resources.metric(ctx.account.metrics[event.metric_id], ctx), profile]
    return {"external_id": event.id, "topic": topic(metric), "payload": payload}
