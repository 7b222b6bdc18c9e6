"""What a template makes of a message, before the rule's own fields are put over it."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Draft:
    """One Klaviyo event to be. ``key`` tells it from others that one message gives under the same metric."""

    metric: str | None
    properties: dict[str, Any]
    value: float | None = None
    currency: str | None = None
    key: str = ""
    mark: str | None = None
    """The event's own id, of which a person has one of this metric."""


@dataclass(slots=True)
class Drafts:
    """The events of one message: itself, and for an order one for each product."""

    event: Draft
    products: list[Draft] = field(default_factory=list)
