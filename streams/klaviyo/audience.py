"""Lists, who is on them, and who is who: requests, and what their answers say."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import orjson

from streams.klaviyo.budgets import (
    LIST_ADD,
    LIST_CREATE,
    LIST_GET,
    LIST_REMOVE,
    LIST_SIZE,
    PROFILE_GET,
)
from streams.klaviyo.requests import Request

MEMBERS: Final = 1000
"""Profiles in one call that adds or removes."""
LOOKED_UP: Final = 100
"""Profiles on one page."""
QUERY_BYTES: Final = 6000
"""What a filter may take of an address: many servers refuse one above 8 KB."""
_PLAIN: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def quoted(text: str) -> str:
    """Percent-encode all that is not plain."""
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in text.encode())


def _string(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _query(condition: str, size: int, *more: tuple[str, str]) -> str:
    parts = (("filter", condition), ("page[size]", str(size)), *more)
    return "&".join(f"{quoted(name)}={quoted(value)}" for name, value in parts)


def find_list(field: str, value: str) -> Request:
    """GET /api/lists: by ``name`` or ``id``; names need not be unique."""
    query = _query(f"equals({field},{_string(value)})", 10)
    return Request("GET", "/api/lists", b"", LIST_GET, query=query, asks=True, whole=True)


def create_list(name: str) -> Request:
    """POST /api/lists, with the account's own opt-in process."""
    body = orjson.dumps({"data": {"type": "list", "attributes": {"name": name}}})
    return Request("POST", "/api/lists", body, LIST_CREATE, asks=True, whole=True)


def list_size(list_id: str) -> Request:
    """GET /api/lists/{id} with ``profile_count``."""
    query = f"{quoted('additional-fields[list]')}=profile_count"
    return Request("GET", f"/api/lists/{quoted(list_id)}", b"", LIST_SIZE, query=query, asks=True)


def find_profiles(field: str, values: Sequence[str], *, subscriptions: bool = False) -> Request:
    """GET /api/profiles: at most ``LOOKED_UP`` by email, phone_number or external_id."""
    more = [("fields[profile]", "email,phone_number,external_id")]
    if subscriptions:
        more.append(("additional-fields[profile]", "subscriptions"))
    query = _query(_any(field, values), LOOKED_UP, *more)
    return Request("GET", "/api/profiles", b"", PROFILE_GET, query=query, asks=True)


def find_properties(field: str, *values: str) -> Request:
    """GET /api/profiles: custom properties of at most ``LOOKED_UP`` by email, phone_number or external_id."""
    fields = ("fields[profile]", "email,phone_number,external_id,properties")
    query = _query(_any(field, values), LOOKED_UP, fields)
    return Request("GET", "/api/profiles", b"", PROFILE_GET, query=query, asks=True)


def find_members(list_id: str, field: str, values: Sequence[str]) -> Request:
    """GET /api/lists/{id}/profiles: which of these, by email or phone_number, are on the list."""
    path = f"/api/lists/{quoted(list_id)}/profiles"
    query = _query(_any(field, values), LOOKED_UP, ("fields[profile]", "email,phone_number"))
    return Request("GET", path, b"", LIST_GET, query=query, asks=True)


def _any(field: str, values: Sequence[str]) -> str:
    return f"any({field},[{','.join(map(_string, values))}])"


def change_members(
    list_id: str, ids: Sequence[str], layout: Sequence[tuple[int, ...]], *, add: bool
) -> Request:
    """POST or DELETE /api/lists/{id}/relationships/profiles: Klaviyo's ids; both may be repeated."""
    body = orjson.dumps({"data": [{"type": "profile", "id": each} for each in ids]})
    path = f"/api/lists/{quoted(list_id)}/relationships/profiles"
    method, budget = ("POST", LIST_ADD) if add else ("DELETE", LIST_REMOVE)
    return Request(method, path, body, budget, tuple(layout), bulk=True)


def resources(data: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Id and attributes of each resource in an answer, whether it has one or many."""
    for one in data if isinstance(data, list) else [data]:
        if isinstance(one, dict) and isinstance(one.get("id"), str):
            attributes = one.get("attributes")
            yield one["id"], attributes if isinstance(attributes, dict) else {}


def same(field: str, value: object) -> str:
    """An identifier as it is compared: addresses regardless of case."""
    return str(value).lower() if field == "email" else str(value)


def by_identifier(field: str, data: object) -> dict[str, tuple[str, dict[str, Any]]]:
    """Profiles in an answer: the identifier they were asked for by → Klaviyo's id and attributes."""
    return {
        same(field, attributes.get(field)): (klaviyo_id, attributes)
        for klaviyo_id, attributes in resources(data)
    }


def pages(values: Iterable[str]) -> Iterator[list[str]]:
    """Values in parts that one look-up may name."""
    page: list[str] = []
    size = 0
    for value in values:
        grows = len(quoted(_string(value))) + 3
        if page and (len(page) == LOOKED_UP or size + grows > QUERY_BYTES):
            yield page
            page, size = [], 0
        page.append(value)
        size += grows
    if page:
        yield page
