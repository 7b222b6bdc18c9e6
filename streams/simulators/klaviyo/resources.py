"""Response documents: resource objects as Klaviyo shows them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from streams.simulators.klaviyo.context import Context
from streams.simulators.klaviyo.errors import Problem, Refused
from streams.simulators.klaviyo.store import Account, Event, Job, MemberList, Metric, Profile

_PLAIN = (
    "email", "phone_number", "external_id", "first_name", "last_name", "organization", "locale", "title",
    "image",
)  # fmt: skip
_PLACES = (
    "address1", "address2", "city", "country", "latitude", "longitude", "region", "zip", "timezone", "ip",
)  # fmt: skip
Resource = dict[str, Any]


def iso(at: float | None) -> str | None:
    """Write epoch seconds as Klaviyo does, whole seconds and an offset."""
    return None if at is None else datetime.fromtimestamp(int(at), UTC).isoformat()


def one(resource: Resource) -> Resource:
    """Return the document of one resource."""
    return {"data": resource, "links": {"self": resource["links"]["self"]}}


def _resource(
    ctx: Context, kind: str, key: str, attributes: Resource, relations: Iterable[str] = ()
) -> Resource:
    own = f"{ctx.host}/api/{kind}s/{key}/"
    made: Resource = {"type": kind, "id": key, "attributes": attributes, "links": {"self": own}}
    if relations:
        made["relationships"] = {
            name: {"links": {"self": f"{own}relationships/{name}/", "related": f"{own}{name}/"}}
            for name in relations
        }
    return made


def _sparse(ctx: Context, kind: str, attributes: Resource) -> Resource:
    """Keep only the attributes that `fields[kind]` names (`a.b` for one of an object)."""
    asked = ctx.query.get(f"fields[{kind}]")
    if not asked:
        return attributes
    kept: Resource = {}
    for name in asked.split(","):
        top, _, rest = name.partition(".")
        if top in attributes and not rest:
            kept[top] = attributes[top]
        elif top in attributes and isinstance(attributes[top], dict) and rest in attributes[top]:
            kept.setdefault(top, {})[rest] = attributes[top][rest]
    return kept


def known_profile(ctx: Context, profile_id: str) -> Profile:
    """Return a profile, or refuse with a 404."""
    profile = ctx.account.profiles.get(profile_id)
    if profile is None:
        raise Refused(Problem(f"A profile with id {profile_id} does not exist.", "/data/id", status=404))
    return profile


def known_list(ctx: Context, list_id: str, pointer: str = "/data/id", status: int = 404) -> MemberList:
    """Return a list, or refuse."""
    known = ctx.account.lists.get(list_id)
    if known is None:
        raise Refused(Problem(f"A list with id {list_id} does not exist.", pointer, status=status))
    return known


def profile(known: Profile, ctx: Context) -> Resource:
    """Return a profile; `additional-fields[profile]` adds subscriptions and predictive analytics."""
    attributes: Resource = {name: known.attributes.get(name) for name in _PLAIN}
    attributes |= {
        "created": iso(known.created),
        "updated": iso(known.updated),
        "last_event_date": iso(known.last_event),
        "location": {name: known.location.get(name) for name in _PLACES},
        "properties": known.properties,
    }
    attributes = _sparse(ctx, "profile", attributes)
    extra = ctx.query.get("additional-fields[profile]", "").split(",")
    if "subscriptions" in extra:
        attributes["subscriptions"] = subscriptions(known)
    if "predictive_analytics" in extra:
        attributes["predictive_analytics"] = {"historic_clv": None, "predicted_clv": None}
    relations = ("lists", "segments", "push-tokens", "conversation")
    return _resource(ctx, "profile", known.id, attributes, relations)


def subscriptions(known: Profile) -> Resource:
    """Return a profile's consent, each channel and kind, and its suppressions."""
    suppressed = [
        {"reason": reason, "timestamp": iso(at)} for reason, at in sorted(known.suppressions.items())
    ]
    shown: Resource = {}
    kinds = [("email", "marketing"), ("sms", "marketing"), ("sms", "transactional")]
    for channel, kind in dict.fromkeys([*kinds, *known.consent]):
        has = known.consent.get((channel, kind))
        on = has is not None and has.state == "SUBSCRIBED"
        can = f"can_receive_{channel}_{kind}"
        told: Resource = {
            "consent": has.state if has else "NEVER_SUBSCRIBED",
            "consent_timestamp": iso(has.at) if has else None,
            "last_updated": iso(has.updated) if has else None,
        }
        if (channel, kind) == ("email", "marketing"):
            no = bool(suppressed) or (has is not None and has.state == "UNSUBSCRIBED")
            told |= {can: not no, "suppression": suppressed, "list_suppressions": []}
            told |= {"method": "API" if has else None, "method_detail": "", "double_optin": False}
            told["custom_method_detail"] = has.source if has else None
        elif channel in ("push", "whatsapp") or kind == "open_tracking":
            told |= {"can_receive": on, can: on}
        else:
            told[can] = on
        shown.setdefault("mobile_push" if channel == "push" else channel, {})[kind] = told
    return shown


def event(known: Event, ctx: Context) -> Resource:
    """Return an event; its unique_id reads back as `$event_id` of its properties."""
    attributes: Resource = {
        "timestamp": known.time,
        "event_properties": known.properties,
        "datetime": iso(known.time),
        "uuid": str(uuid.UUID(int=(known.time << 96) | (0x11 << 72) | (1 << 63) | known.seq)),
    }
    made = _resource(ctx, "event", known.id, _sparse(ctx, "event", attributes), ("profile", "metric"))
    made["relationships"]["profile"]["data"] = {"type": "profile", "id": known.profile_id}
    made["relationships"]["metric"]["data"] = {"type": "metric", "id": known.metric_id}
    made["relationships"]["attributions"] = {"data": []}
    return made


def metric(known: Metric, ctx: Context) -> Resource:
    """Return a metric."""
    own = known.service == "api"
    name = "API" if own else known.service.capitalize()
    attributes: Resource = {
        "name": known.name,
        "created": iso(known.created),
        "updated": iso(known.created),
        "integration": {
            "object": "integration",
            "id": "7FtS4J" if own else "0rG4eQ",
            "key": known.service,
            "name": name,
            "category": "API" if own else "Internal",
        },
    }
    return _resource(ctx, "metric", known.id, _sparse(ctx, "metric", attributes), ("flow-triggers",))


def member_list(known: MemberList, ctx: Context) -> Resource:
    """Return a list."""
    attributes: Resource = {
        "name": known.name,
        "created": iso(known.created),
        "updated": iso(known.updated),
        "opt_in_process": known.opt_in_process,
    }
    attributes = _sparse(ctx, "list", attributes)
    if "profile_count" in ctx.query.get("additional-fields[list]", ""):
        attributes["profile_count"] = len(known.members)
    return _resource(ctx, "list", known.id, attributes, ("profiles", "tags", "flow-triggers"))


def job(known: Job, ctx: Context) -> Resource:
    """Return a job; imports count failures, suppressions what they skipped."""
    attributes: Resource = {
        "status": known.status,
        "created_at": iso(known.created),
        "total_count": known.total,
        "completed_count": known.completed,
        "completed_at": iso(known.finished),
    }
    if known.kind == "profile-bulk-import-job":
        attributes |= {"failed_count": known.failed, "started_at": iso(known.finished)}
        attributes["expires_at"] = iso(known.created + 7 * 86_400)
        relations: tuple[str, ...] = ("lists", "profiles", "import-errors")
    else:
        attributes["skipped_count"] = known.skipped
        relations = ("lists", "segments")
    made = _resource(ctx, known.kind, known.id, _sparse(ctx, known.kind, attributes), relations)
    made["relationships"]["lists"]["data"] = [{"type": "list", "id": list_id} for list_id in known.lists]
    return made


def account(known: Account, ctx: Context) -> Resource:
    """Return the account itself."""
    attributes = {
        "test_account": True,
        "contact_information": {
            "default_sender_name": known.name,
            "default_sender_email": f"sender@{known.name}.example",
            "website_url": None,
            "organization_name": known.name,
            "street_address": dict.fromkeys(("address1", "address2", "city", "region", "country", "zip"), ""),
        },
        "industry": None,
        "timezone": "UTC",
        "preferred_currency": "USD",
        "public_api_key": known.name[:6].ljust(6, "0"),
        "locale": "en-US",
    }
    return _resource(ctx, "account", known.name[:6].ljust(6, "0"), attributes)
