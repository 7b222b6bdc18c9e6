"""A shop: its products, and Segment's e-commerce events (v2) with their weights and properties.

Weights are events per thousand page views of a shop of middling size: assumptions, the spec gives none.
"""

from collections.abc import Callable
from itertools import accumulate
from random import Random
from typing import Any

_CATEGORIES = ("Games", "Beauty", "Garden", "Kitchen", "Books", "Shoes", "Toys", "Music")
_BRANDS = ("Hasbro", "Orla", "Nordhus", "Kestrel", "Bramble", "Tessera")
_N_PRODUCTS = 500
Properties = dict[str, Any]


def product(dice: Random, position: int = 1) -> Properties:
    """Return a product object; the same number is always the same product."""
    number = int(dice.random() ** 2 * _N_PRODUCTS)
    url = f"https://shop.example.com/products/{number}"
    return {
        "product_id": f"507f1f77bcf86cd7{number:08x}", "sku": f"G-{number}",
        "category": _CATEGORIES[number % 8], "name": f"Article No. {number}", "brand": _BRANDS[number % 6],
        "variant": f"{number % 5 + 1} pieces",
        "price": (number * 37 % 9900 + 99) / 100, "quantity": 1 + (dice.random() < 0.15), "coupon": "",
        "position": position, "url": url, "image_url": f"{url}.jpg",
    }  # fmt: skip


def products(dice: Random, most: int = 5) -> list[Properties]:
    """Return one to `most` products."""
    return [product(dice, place) for place in range(1, 2 + int(dice.random() * most))]


def _id(dice: Random, prefix: str) -> str:
    return f"{prefix}{dice.getrandbits(48):012x}"


def _listed(dice: Random) -> Properties:
    return {
        "list_id": f"list_{int(dice.random() * 40)}",
        "category": dice.choice(_CATEGORIES),
        "products": products(dice),
    }


def _filtered(dice: Random) -> Properties:
    chosen = {
        "filters": [{"type": "price", "value": "under-$25"}],
        "sorts": [{"type": "price", "value": "desc"}],
    }
    return _listed(dice) | chosen


def _promotion(dice: Random) -> Properties:
    number = int(dice.random() * 12)
    return {
        "promotion_id": f"promo_{number}", "creative": "top_banner_2", "name": f"Offer {number}",
        "position": "home_banner_top",
    }  # fmt: skip


def _viewed(dice: Random) -> Properties:
    one = product(dice)
    return one | {"currency": "USD", "value": one["price"]}


def _in_cart(dice: Random) -> Properties:
    return product(dice) | {"cart_id": _id(dice, "cart_")}


def _cart(dice: Random) -> Properties:
    return {"cart_id": _id(dice, "cart_"), "products": products(dice)}


def order(dice: Random) -> Properties:
    """Return an order; `revenue` has neither shipping nor tax, `total` both."""
    bought = products(dice)
    revenue = round(sum(one["price"] * one["quantity"] for one in bought), 2)
    tax = round(revenue * 0.21, 2)
    return {
        "checkout_id": _id(dice, "co_"), "order_id": _id(dice, "o_"), "affiliation": "Shop",
        "subtotal": revenue, "total": round(revenue + tax + 4.95, 2), "revenue": revenue, "shipping": 4.95,
        "tax": tax, "discount": 0, "coupon": "", "currency": "USD", "products": bought,
    }  # fmt: skip


def _checkout(dice: Random) -> Properties:
    made = order(dice)
    del made["checkout_id"], made["subtotal"], made["total"]
    return made | {"value": made["revenue"]}


def _step(dice: Random) -> Properties:
    paid = {"shipping_method": "Standard", "payment_method": "Card"}
    return {"checkout_id": _id(dice, "co_"), "step": 1 + int(dice.random() * 4)} | paid


def _payment(dice: Random) -> Properties:
    return _step(dice) | {"order_id": _id(dice, "o_")}


def _coupon(dice: Random) -> Properties:
    return {
        "order_id": _id(dice, "o_"), "cart_id": _id(dice, "cart_"), "coupon_id": "may_deals",
        "coupon_name": "May Deals", "discount": 2.5, "reason": "Expired",
    }  # fmt: skip


def _wished(dice: Random) -> Properties:
    return product(dice) | {"wishlist_id": _id(dice, "wl_"), "wishlist_name": "Loved"}


def _shared(dice: Random) -> Properties:
    return product(dice) | {"share_via": "email", "share_message": "Look!", "recipient": "friend@example.com"}


def _shared_cart(dice: Random) -> Properties:
    return {"share_via": "email", "share_message": "Look!", "recipient": "friend@example.com"} | _cart(dice)


def _reviewed(dice: Random) -> Properties:
    one = product(dice)["product_id"]
    return {"product_id": one, "review_id": _id(dice, "r_"), "review_body": "I love it", "rating": "5"}


def _searched(dice: Random) -> Properties:
    return {"query": f"{dice.choice(_CATEGORIES).lower()} for {dice.choice(('him', 'her', 'home'))}"}


_EVENTS: tuple[tuple[str, float, Callable[[Random], Properties]], ...] = (
    ("Products Searched", 60, _searched),
    ("Product List Viewed", 140, _listed),
    ("Product List Filtered", 40, _filtered),
    ("Promotion Viewed", 60, _promotion),
    ("Promotion Clicked", 8, _promotion),
    ("Product Clicked", 70, product),
    ("Product Viewed", 180, _viewed),
    ("Product Added", 45, _in_cart),
    ("Product Removed", 8, _in_cart),
    ("Cart Viewed", 30, _cart),
    ("Checkout Started", 16, _checkout),
    ("Checkout Step Viewed", 28, _step),
    ("Checkout Step Completed", 24, _step),
    ("Payment Info Entered", 11, _payment),
    ("Order Updated", 1, order),
    ("Order Completed", 9, order),
    ("Order Refunded", 0.4, order),
    ("Order Cancelled", 0.3, order),
    ("Coupon Entered", 4, _coupon),
    ("Coupon Applied", 2.5, _coupon),
    ("Coupon Denied", 1, _coupon),
    ("Coupon Removed", 0.5, _coupon),
    ("Product Added to Wishlist", 6, _wished),
    ("Product Removed from Wishlist", 1.5, _wished),
    ("Wishlist Product Added to Cart", 1.5, _wished),
    ("Product Shared", 1, _shared),
    ("Cart Shared", 0.2, _shared_cart),
    ("Product Reviewed", 0.6, _reviewed),
)
WEIGHTS = {name: weight for name, weight, _ in _EVENTS}
_CUMULATIVE = tuple(accumulate(WEIGHTS.values()))


def event(dice: Random) -> tuple[str, Properties]:
    """Draw one event by its weight."""
    name, _, make = dice.choices(_EVENTS, cum_weights=_CUMULATIVE)[0]
    return name, make(dice)
