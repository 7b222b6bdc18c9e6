"""Merging two profiles into one. Pure."""

import orjson

from streams.klaviyo.budgets import MERGE
from streams.klaviyo.requests import Request


def merge(into: str, source: str) -> Request:
    """POST /api/profile-merge, by Klaviyo's ids: 201, then the source goes, by and by, for good."""
    sources = {"profiles": {"data": [{"type": "profile", "id": source}]}}
    data = {"type": "profile-merge", "id": into, "relationships": sources}
    body = orjson.dumps({"data": data})
    return Request("POST", "/api/profile-merge", body, MERGE, ((0,),), asks=True, names=True)
