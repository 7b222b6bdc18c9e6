"""Request bodies as Klaviyo takes them."""

from __future__ import annotations

from typing import Any


def event(email: str = "ada@shop.io", metric: str = "Placed Order", **attributes: Any) -> dict[str, Any]:
    """Return the body of create_event."""
    profile = attributes.pop("profile", {"email": email})
    return {
        "data": {
            "type": "event",
            "attributes": {
                "properties": {},
                **attributes,
                "metric": {"data": {"type": "metric", "attributes": {"name": metric}}},
                "profile": {"data": {"type": "profile", "attributes": profile}},
            },
        }
    }


def bulk(*events: dict[str, Any]) -> dict[str, Any]:
    """Return the body of bulk_create_events, one group for each event made by `event`."""
    rows = []
    for made in events:
        attributes = dict(made["data"]["attributes"])
        profile = attributes.pop("profile")
        row = {"type": "event", "attributes": attributes}
        group = {"profile": profile, "events": {"data": [row]}}
        rows.append({"type": "event-bulk-create", "attributes": group})
    return {
        "data": {
            "type": "event-bulk-create-job",
            "attributes": {"events-bulk-create": {"data": rows}},
        }
    }


def profile(**attributes: Any) -> dict[str, Any]:
    """Return the body of profile-import."""
    return {"data": {"type": "profile", "attributes": attributes}}
