"""Reading a Segment message's parts, whatever they are: a part of the wrong type reads as empty."""

from collections.abc import Mapping
from typing import Any

_NOTHING: dict[str, Any] = {}
_NAMES = ("Klaviyo", "Klaviyo (Actions)")
"""How Segment's customers name the destination in ``integrations``."""


def part(message: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object of the message, else an empty one; not to be changed."""
    value = message.get(name)
    return value if isinstance(value, dict) else _NOTHING


def traits_of(message: Mapping[str, Any]) -> dict[str, Any]:
    """The traits of an identify or group, else those that other messages carry in their context."""
    return part(message, "traits") or part(part(message, "context"), "traits")


def refused_by_sender(message: Mapping[str, Any]) -> str | None:
    """The entry of ``integrations`` that keeps the message from Klaviyo, if one does.

    Klaviyo's own entry goes before ``All``; only ``false`` refuses, options don't.
    """
    integrations = part(message, "integrations")
    for name in _NAMES:
        if name in integrations:
            return name if integrations[name] is False else None
    return "All" if integrations.get("All") is False else None


def came_from_klaviyo(message: Mapping[str, Any]) -> bool:
    """Whether it reports what Klaviyo said: ours carry a mark, those of Segment's source its name."""
    context = message.get("context")
    if not isinstance(context, dict):
        return False
    if "event_id" in part(context, "klaviyo"):
        return True
    return part(context, "integration").get("name") == "Klaviyo"
