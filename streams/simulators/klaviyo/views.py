"""What `/sim/` shows of the accounts' data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from streams.simulators.klaviyo.resources import iso
from streams.simulators.klaviyo.store import Account

View = Callable[[Account], list[dict[str, Any]]]


def profiles(account: Account) -> list[dict[str, Any]]:
    """Return every profile."""
    return [
        {
            "account": account.name,
            "id": row.id,
            "email": None,
            "phone_number": None,
            "external_id": None,
            **row.attributes,
            "anonymous_ids": sorted(row.anonymous_ids),
            "location": row.location,
            "properties": row.properties,
            "created": iso(row.created),
            "updated": iso(row.updated),
        }
        for row in account.profiles.values()
    ]


def events(account: Account) -> list[dict[str, Any]]:
    """Return every event; `time` in epoch seconds, `n_received` with its repeats."""
    rows = []
    for row in account.events:
        profile = account.profiles.get(row.profile_id)
        attributes = profile.attributes if profile else {}
        rows.append({
            "account": account.name,
            "id": row.id,
            "profile_id": row.profile_id,
            "email": attributes.get("email"),
            "external_id": attributes.get("external_id"),
            "metric": account.metrics[row.metric_id].name,
            "metric_id": row.metric_id,
            "unique_id": row.unique_id,
            "time": row.time,
            "properties": row.properties,
            "backfill": row.backfill,
            "n_received": row.n_received,
        })  # fmt: skip
    return rows


def lists(account: Account) -> list[dict[str, Any]]:
    """Return every list with its members."""
    return [
        {
            "account": account.name,
            "id": row.id,
            "name": row.name,
            "opt_in_process": row.opt_in_process,
            "profiles": list(row.members),
            "emails": [account.profiles[key].attributes.get("email") for key in row.members],
            "pending": sorted(row.pending),
        }
        for row in account.lists.values()
    ]


def consent(account: Account) -> list[dict[str, Any]]:
    """Return each profile's consent per channel and kind, and its suppressions."""
    rows = []
    for profile in account.profiles.values():
        who = {
            "account": account.name,
            "profile_id": profile.id,
            "email": profile.attributes.get("email"),
            "phone_number": profile.attributes.get("phone_number"),
            "suppressions": sorted(profile.suppressions),
        }
        known = [(channel, kind, has) for (channel, kind), has in profile.consent.items()]
        for channel, kind, has in known:
            times = {"consented_at": iso(has.at), "updated": iso(has.updated), "source": has.source}
            rows.append({**who, "channel": channel, "type": kind, "consent": has.state, **times})
        if not known and profile.suppressions:
            never = {"channel": "email", "type": "marketing", "consent": "NEVER_SUBSCRIBED"}
            rows.append({**who, **never, "consented_at": None, "updated": None, "source": None})
    return rows


def jobs(account: Account) -> list[dict[str, Any]]:
    """Return every job, those without an endpoint of their own too."""
    return [
        {
            "account": account.name,
            "id": row.id,
            "type": row.kind,
            "status": row.status,
            "created": iso(row.created),
            "total_count": row.total,
            "completed_count": row.completed,
            "failed_count": row.failed,
            "skipped_count": row.skipped,
            "errors": row.errors,
        }
        for row in account.jobs.values()
    ]


VIEWS: Mapping[str, View] = {
    "profiles": profiles,
    "events": events,
    "lists": lists,
    "consent": consent,
    "jobs": jobs,
}
