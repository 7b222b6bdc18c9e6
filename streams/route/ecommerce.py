"""Template ``ecommerce.v2``: Segment's e-commerce events as the metrics and properties that Klaviyo knows.

Source: Segment's spec "E-Commerce Events v2" with the names of v1 that are still seen, and Klaviyo's guide
for integrating a platform without a pre-built integration. Any other track becomes a metric of its own
name. What has no Klaviyo name keeps its own: nothing is left out.
"""

from collections.abc import Mapping
from typing import Any

from streams.config.paths import MISSING
from streams.route.draft import Draft, Drafts
from streams.route.formats import currency, number
from streams.route.products import describe, ordered, to_items
from streams.segment.message import part

_METRICS = {
    "Products Searched": ("Products Searched", ""),
    "Product List Viewed": ("Product List Viewed", "list"),
    "Product List Filtered": ("Product List Filtered", "list"),
    "Promotion Viewed": ("Promotion Viewed", ""),
    "Promotion Clicked": ("Promotion Clicked", ""),
    "Product Clicked": ("Product Clicked", "product"),
    "Product Viewed": ("Viewed Product", "product"),
    "Product Added": ("Added to Cart", "added"),
    "Product Removed": ("Product Removed", "product"),
    "Cart Viewed": ("Cart Viewed", "list"),
    "Checkout Started": ("Started Checkout", "order"),
    "Checkout Step Viewed": ("Checkout Step Viewed", ""),
    "Checkout Step Completed": ("Checkout Step Completed", ""),
    "Payment Info Entered": ("Payment Info Entered", "order"),
    "Order Updated": ("Order Updated", "order"),
    "Order Completed": ("Placed Order", "placed"),
    "Order Refunded": ("Refunded Order", "order"),
    "Order Cancelled": ("Cancelled Order", "order"),
    "Coupon Entered": ("Coupon Entered", "order"),
    "Coupon Applied": ("Coupon Applied", "order"),
    "Coupon Denied": ("Coupon Denied", "order"),
    "Coupon Removed": ("Coupon Removed", "order"),
    "Product Added to Wishlist": ("Product Added to Wishlist", "product"),
    "Product Removed from Wishlist": ("Product Removed from Wishlist", "product"),
    "Wishlist Product Added to Cart": ("Wishlist Product Added to Cart", "product"),
    "Product Shared": ("Product Shared", "product"),
    "Cart Shared": ("Cart Shared", "list"),
    "Product Reviewed": ("Product Reviewed", "product"),
}
_FIRST_VERSION = {
    "Viewed Product Category": "Product List Viewed",
    "Viewed Promotion": "Promotion Viewed",
    "Clicked Promotion": "Promotion Clicked",
    "Clicked Product": "Product Clicked",
    "Viewed Product": "Product Viewed",
    "Added Product": "Product Added",
    "Removed Product": "Product Removed",
    "Started Order": "Checkout Started",
    "Updated Order": "Order Updated",
    "Completed Order": "Order Completed",
    "Viewed Checkout Step": "Checkout Step Viewed",
    "Completed Checkout Step": "Checkout Step Completed",
}
_KNOWN = {name.lower(): shape for name, shape in _METRICS.items()}
_KNOWN |= {old.lower(): _METRICS[new] for old, new in _FIRST_VERSION.items()}
_PAGES = {"page": "Viewed Page", "screen": "Viewed Screen"}

_AMOUNTS = ("total", "revenue", "value")
_NUMBERS = frozenset(("total", "revenue", "value", "subtotal", "shipping", "tax", "discount"))
_ORDER_NAMES = {
    "order_id": "OrderId",
    "orderId": "OrderId",
    "coupon": "DiscountCode",
    "discount": "DiscountValue",
}


def track(message: Mapping[str, Any], unmapped: list[str]) -> Drafts:
    """Template ``track``: a metric of the event's own name, properties as they are."""
    properties = part(message, "properties")
    name = message.get("event")
    kind = message.get("type")
    if kind in _PAGES:
        titled = {"name": message["name"]} if isinstance(message.get("name"), str) else {}
        return Drafts(Draft(_PAGES[str(kind)], {**titled, **properties}))
    kept = {k: v for k, v in properties.items() if k != "currency"}
    draft = Draft(name if isinstance(name, str) else None, kept)
    _money(draft, properties, unmapped)
    return Drafts(draft)


def commerce(message: Mapping[str, Any], unmapped: list[str]) -> Drafts:
    """Template ``ecommerce.v2``; never raises, on no message."""
    name = message.get("event")
    known = (
        _KNOWN.get(name.strip().lower()) if isinstance(name, str) and message.get("type") == "track" else None
    )
    if known is None:
        return track(message, unmapped)
    metric, shape = known
    properties = part(message, "properties")
    draft = Draft(metric, {})
    if shape in ("product", "added"):
        describe(properties, draft.properties, unmapped)
        if shape == "added":
            draft.properties = _added(draft.properties) | draft.properties
    else:
        _order(properties, draft.properties, unmapped, order=shape in ("order", "placed"))
    _money(draft, properties, unmapped)
    drafts = Drafts(draft)
    if shape == "placed":
        drafts.products = ordered(draft.properties, draft.currency)
    return drafts


def _order(given: Mapping[str, Any], properties: dict[str, Any], unmapped: list[str], *, order: bool) -> None:
    for name, value in given.items():
        if name in ("products", "currency"):
            continue
        if name in _NUMBERS and type(value) is str and (found := number(value)) is not MISSING:
            value = found  # noqa: PLW2901  # the same amount, as a number
        known = _ORDER_NAMES.get(name, name) if order else name
        if known not in properties:
            properties[known] = value
        elif known != name:
            properties.setdefault(name, value)
        else:
            unmapped.append(f"properties.{name}")
    if "products" in given:
        to_items(given["products"], properties, unmapped, order=order)


def _added(product: Mapping[str, Any]) -> dict[str, Any]:
    """Klaviyo's flow templates for carts read the product under these names."""
    names = ("ProductName", "ProductID", "SKU", "Categories", "ImageURL", "URL", "Price", "Quantity")
    return {f"AddedItem{name}": product[name] for name in names if name in product}


def _money(draft: Draft, given: Mapping[str, Any], unmapped: list[str]) -> None:
    """The first amount that is a number, zero included, and its currency; what is none stays a property."""
    for name in _AMOUNTS:
        amount = given.get(name)
        if amount is None:
            continue
        found = number(amount)
        if found is not MISSING:
            draft.value = found
            break
        unmapped.append(f"properties.{name}")
    code = given.get("currency")
    if code is None:
        return
    found = currency(code)
    if found is MISSING:
        unmapped.append("properties.currency")
        draft.properties["currency"] = code
    else:
        draft.currency = found
