"""Products under Klaviyo's names: the one of a product event, and the items of a cart or an order."""

from collections.abc import Callable, Mapping
from typing import Any

from streams.config.paths import MISSING
from streams.route.draft import Draft
from streams.route.formats import number, text

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
_PLAIN = (str, int, float)
_NUMERIC = frozenset((int, float))
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
    categories = [each for item in items for each in _several(item.get("ProductCategories"))]
    properties["Items"] = items
    for name, values in (
        ("ItemNames", [item.get("ProductName") for item in items]),
        ("Categories", categories),
        ("Brands", [item.get("Brand") for item in items]),
    ):
        properties.pop(name, None)
        if found := _distinct(values):
            properties[name] = found


def ordered(order: Mapping[str, Any], currency: str | None) -> list[Draft]:
    """One event a product of an order, told apart by order id and product id or SKU."""
    order_id = order.get("OrderId")
    told = text(order_id) or order_id
    drafts = []
    for item in _several(order.get("Items")):
        if not isinstance(item, dict):
            continue
        product = item.get("ProductID") or item.get("SKU") or item.get("ProductName") or ""
        properties: dict[str, Any] = {} if order_id is None else {"OrderId": order_id}
        if "ProductCategories" in item:
            properties["Categories"] = item["ProductCategories"]
        properties.update(item)
        key = f"{'' if order_id is None else told}\x1f{text(product) or product}"
        drafts.append(Draft(ORDERED_PRODUCT, properties, item.get("RowTotal"), currency, key))
    return drafts


def _rename(
    given: Mapping[str, Any], names: Mapping[str, str], into: dict[str, Any], unmapped: list[str], where: str
) -> None:
    for name, value in given.items():
        known = names.get(name, name)
        if known in into:
            if name in into:
                unmapped.append(f"{where}.{name}")
            else:
                into[name] = value
            continue
        convert = _FORMS.get(name)
        found = convert(value) if convert else value
        if found is MISSING:
            unmapped.append(f"{where}.{name}")
            into[name] = value
        else:
            into[known] = found


def _amount(value: Any) -> Any:
    return None if value is None else number(value)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


_FORMS: dict[str, Callable[[Any], Any]] = {"price": _amount, "quantity": _amount, "category": _listed}


def _row_total(item: Mapping[str, Any], once: int | None) -> float | None:
    price, quantity = item.get("ItemPrice"), item.get("Quantity", once)
    if type(price) not in _NUMERIC or type(quantity) not in _NUMERIC:
        return None
    total: float = price * quantity
    return round(total, 4) if abs(total) < _LARGEST else None


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _distinct(values: list[Any]) -> list[Any]:
    """In order, without repeats and nulls; only text and numbers can be told apart cheaply."""
    return list(dict.fromkeys([value for value in values if isinstance(value, _PLAIN)]))
