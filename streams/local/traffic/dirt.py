"""What is wrong in real traffic, injected at assumed rates; each kind leaves a label."""

from collections.abc import Callable
from random import Random
from typing import Any

Event = dict[str, Any]
_HOUR = 3_600_000
_YEAR = 365 * 24 * _HOUR
NEAR_CAP = 32_000
"""Bytes of a message just under Segment's 32 KB."""


def shift(dice: Random) -> tuple[int, str] | None:
    """Draw how far a timestamp is from when the message is sent, milliseconds; None for nearly all."""
    drawn = dice.random()
    if drawn < 0.02:
        return -int(dice.uniform(1_000, 60_000)), "late:seconds"
    if drawn < 0.025:
        return -int(dice.uniform(1, 12) * _HOUR), "late:hours"
    if drawn < 0.026:
        far = {"time:future": 2 * _HOUR, "time:far_future": 2 * _YEAR, "time:before_2000": -40 * _YEAR}
        label, ms = dice.choice(list(far.items()))
        return ms, label
    return None


def fraction(dice: Random, text: str) -> tuple[str, str] | None:
    """Draw a timestamp with 4 to 10 fractional digits."""
    if dice.random() >= 0.01:
        return None
    digits = 4 + int(dice.random() * 7)
    extra = "".join(dice.choices("0123456789", k=digits - 3))
    return f"{text[:-1]}{extra}Z", f"fraction:{digits}"


def amounts(dice: Random, properties: Event) -> str | None:
    """Write a price or revenue as a string, null or an object."""
    present = [name for name in ("price", "revenue") if name in properties]
    if not present or dice.random() >= 0.01:
        return None
    name, kind = present[-1], dice.choice(("string", "null", "object"))
    value = properties[name]
    properties[name] = {"string": str(value), "null": None, "object": {"amount": value}}[kind]
    return f"amount:{kind}"


def order(dice: Random, properties: Event) -> str | None:
    """Spoil an order's products in one of five ways, 1 % each."""
    place = int(dice.random() * 100)
    if place >= len(_ORDERS):
        return None
    label, spoil = _ORDERS[place]
    spoil(properties)
    return label


def _missing(order_: Event) -> None:
    del order_["products"]


def _no_list(order_: Event) -> None:
    order_["products"] = {"0": order_["products"][0]}


def _many(order_: Event) -> None:
    keep = ("product_id", "sku", "name", "price", "quantity")
    first = {name: order_["products"][0][name] for name in keep}
    order_["products"] = [first | {"product_id": f"{first['product_id']}{n}"} for n in range(120)]


def _nameless(order_: Event) -> None:
    for one in order_["products"]:
        del one["product_id"], one["sku"]


def _twice(order_: Event) -> None:
    order_["products"].append(dict(order_["products"][0]))


_ORDERS: tuple[tuple[str, Callable[[Event], None]], ...] = (
    ("products:missing", _missing),
    ("products:no_list", _no_list),
    ("products:many", _many),
    ("products:nameless", _nameless),
    ("products:twice", _twice),
)


def integrations(dice: Random) -> Event | None:
    """Draw a ban that must keep a message from Klaviyo."""
    if dice.random() >= 0.005:
        return None
    return dice.choice(({"All": False}, {"Klaviyo": False}))


def extreme(dice: Random, message: Event, size: int) -> tuple[str, str | None] | None:
    """Make a message extreme: near the cap, too many properties, too deep, or a string above 100 kB.

    Returns:
        The label, and the dead letter's reason if there must be one.
    """
    drawn = dice.random()
    if drawn >= 0.0006:
        return None
    properties: Event = message.setdefault("traits" if message["type"] == "identify" else "properties", {})
    if drawn < 0.0005:
        properties["filler"] = "x" * (NEAR_CAP - size)
        return "near_cap", None
    kind = dice.choice(("properties", "nesting", "string"))
    if kind == "properties":
        properties |= {f"p{n}": n for n in range(450)}
    elif kind == "nesting":
        deep: Event = {"end": True}
        for _ in range(12):
            deep = {"in": deep}
        properties["deep"] = deep
    else:
        properties["text"] = "x" * 101_000
    return f"extreme:{kind}", "too_large" if kind == "string" else None


def junk(dice: Random, message: Event) -> tuple[str, str | None] | None:
    """Break a message: nobody, unknown type, no messageId (allowed), or broken JSON.

    Broken JSON is refused with the whole request: it never becomes a dead letter.
    """
    if dice.random() >= 0.0005:
        return None
    kind = dice.choice(("nobody", "unknown_type", "no_message_id", "broken_json"))
    if kind == "nobody":
        for place in ("userId", "anonymousId", "traits", "context"):
            message.pop(place, None)
        return kind, "invalid_message"
    if kind == "unknown_type":
        message["type"] = "tracked"
        return kind, "invalid_message"
    if kind == "no_message_id":
        del message["messageId"]
        return kind, None
    return kind, "invalid_json"


def repeat(dice: Random) -> tuple[str, int] | None:
    """Draw an exact redelivery: its label, and how many messages later it comes (at most)."""
    drawn = dice.random()
    if drawn < 0.008:
        return "redelivery:seconds", 400
    if drawn < 0.010:
        return "redelivery:day", 10_000
    return ("redelivery:days", 1_000_000) if drawn < 0.0105 else None
