"""Products under Klaviyo's names: the one of a product event, and the items of a cart or an order."""

from collections.abc import Mapping
from typing import Any

from streams.config.paths import MISSING
from streams.route.draft import Draft
from streams.route.formats import number

_PRODUCT = {
    "product_id": "ProductID",
    "productId": "ProductID",
    "sku": "SKU",
    "name": "ProductName",
    "brand": "Brand",
    "price": "Price",
    "quantity": "Quantity",
    "url": "URL",
    "image_url": "ImageURL",
    "imageUrl": "ImageURL",
    "category": "Categories",
}
_ITEM = _PRODUCT | {
    "id": "ProductID",
    "price": "ItemPrice",
    "url": "ProductURL",
    "category": "ProductCategories",
}
_NUMBERS = ("Price", "ItemPrice", "Quantity")
_LISTS = ("Categories", "ProductCategories")
_MADE = ("Items", "ItemNames", "Categories", "Brands")
_LARGEST = 2**53
"""Sums beyond are no money, and no exact numbers either."""
ORDERED_PRODUCT = "Ordered Product"


def describe(given: Mapping[str, Any], properties: dict[str, Any], unmapped: list[str]) -> None:
    """A product event's properties; ``currency`` is the event's."""
    _rename(given, _PRODUCT, properties, unmapped, "properties")
    properties.pop("currency", None)


def to_items(products: Any, properties: dict[str, Any], unmapped: list[str], *, order: bool) -> None:
    """``Items`` and what Klaviyo's templates want beside it; what isn't a list stays as it came.

    In an order, a product without a quantity was ordered once.
    """
    if not isinstance(products, list):
        if products is not None:
            properties["products"] = products
            unmapped.append("properties.products")
        return
    items = []
    for index, product in enumerate(products):
        item: dict[str, Any] = {}
        if isinstance(product, dict):
            _rename(product, _ITEM, item, unmapped, "properties.products")
            if (total := _row_total(item, 1 if order else None)) is not None:
                item["RowTotal"] = total
        elif isinstance(product, str | int) and not isinstance(product, bool):
            item["ProductID"] = product
        else:
            properties.setdefault("products", products)
            unmapped.append(f"properties.products[{index}]")
            continue
        items.append(item)
    unmapped += [f"properties.{name}" for name in _MADE if name in properties]
    properties["Items"] = items
    properties["ItemNames"] = _distinct(item.get("ProductName") for item in items)
    properties["Categories"] = _distinct(c for item in items for c in _several(item.get("ProductCategories")))
    properties["Brands"] = _distinct(item.get("Brand") for item in items)
    for name in _MADE:
        if name != "Items" and not properties[name]:
            del properties[name]


def ordered(order: Mapping[str, Any], currency: str | None) -> list[Draft]:
    """One event a product of an order, told apart by order id and product id or SKU."""
    order_id = order.get("OrderId")
    drafts = []
    for item in _several(order.get("Items")):
        if not isinstance(item, dict):
            continue
        product = next((item[name] for name in ("ProductID", "SKU", "ProductName") if item.get(name)), "")
        head: dict[str, Any] = {} if order_id is None else {"OrderId": order_id}
        if "ProductCategories" in item:
            head["Categories"] = item["ProductCategories"]
        draft = Draft(ORDERED_PRODUCT, head | item, item.get("RowTotal"), currency)
        draft.key = f"{'' if order_id is None else order_id}\x1f{product}"
        drafts.append(draft)
    return drafts


def _rename(
    given: Mapping[str, Any], names: Mapping[str, str], into: dict[str, Any], unmapped: list[str], where: str
) -> None:
    for name, value in given.items():
        known = names.get(name)
        if known is None or known in into:
            if name in into:
                unmapped.append(f"{where}.{name}")
            else:
                into[name] = value
        elif known in _NUMBERS and value is not None:
            found = number(value)
            if found is MISSING:
                unmapped.append(f"{where}.{name}")
                into[name] = value
            else:
                into[known] = found
        elif known in _LISTS and not isinstance(value, list):
            into[known] = [] if value is None else [value]
        else:
            into[known] = value


def _row_total(item: Mapping[str, Any], once: int | None) -> float | None:
    price, quantity = item.get("ItemPrice"), item.get("Quantity", once)
    if not isinstance(price, int | float) or not isinstance(quantity, int | float):
        return None
    if isinstance(price, bool) or isinstance(quantity, bool):
        return None
    total = price * quantity
    return round(total, 4) if abs(total) < _LARGEST else None


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _distinct(values: Any) -> list[Any]:
    """In order, without repeats and nulls; only text and numbers can be told apart cheaply."""
    return list(dict.fromkeys(v for v in values if isinstance(v, str | int | float)))
