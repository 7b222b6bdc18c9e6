"""Bulk import jobs of profiles: requests, and what their answers say."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from streams.klaviyo.audience import quoted
from streams.klaviyo.budgets import PROFILE_BULK, PROFILE_BULK_ERRORS, PROFILE_BULK_GET
from streams.klaviyo.requests import Request

PROFILES: Final = 10_000
"""Profiles in one job."""
DUPLICATE: Final = "duplicate_profile"
"""The code of a row whose identifiers belong to several profiles."""
NEVER: Final = frozenset({"cancelled", "canceled", "failed", "expired"})
"""Ends of a job that say nothing about its rows; documented is the first."""
_PATH: Final = "/api/profile-bulk-import-jobs"
_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Failed:
    """One row that a job could not import. ``number`` is its place in the job, None if it is not told."""

    number: int | None
    code: str
    detail: str
    text: str


def create(elements: Sequence[dict[str, Any]], layout: Sequence[tuple[int, ...]]) -> Request:
    """POST /api/profile-bulk-import-jobs: attributes with identifiers; null is not understood here."""
    rows = [{"type": "profile", "attributes": element} for element in elements]
    data = {"type": "profile-bulk-import-job", "attributes": {"profiles": {"data": rows}}}
    body = orjson.dumps({"data": data})
    return Request("POST", _PATH, body, PROFILE_BULK, tuple(layout), bulk=True, asks=True)


def look(job: str) -> Request:
    """GET /api/profile-bulk-import-jobs/{id}."""
    return Request("GET", f"{_PATH}/{quoted(job)}", b"", PROFILE_BULK_GET, asks=True, names=True)


def errors(job: str, cursor: str | None) -> Request:
    """GET /api/profile-bulk-import-jobs/{id}/import-errors, one page."""
    query = f"{quoted('page[size]')}={_PAGE}"
    if cursor is not None:
        query += f"&{quoted('page[cursor]')}={quoted(cursor)}"
    path = f"{_PATH}/{quoted(job)}/import-errors"
    return Request("GET", path, b"", PROFILE_BULK_ERRORS, query=query, asks=True, names=True)


def made(data: Any) -> str | None:
    """The id of a job that was made; None if the answer has none."""
    found = data.get("id") if isinstance(data, dict) else None
    return found if isinstance(found, str) and found else None


def status(data: Any) -> tuple[str, int | None]:
    """How a job does, and how many rows of it failed; None if that is not told."""
    attributes = data.get("attributes") if isinstance(data, dict) else None
    found = attributes if isinstance(attributes, dict) else {}
    failed = found.get("failed_count")
    return str(found.get("status")), failed if type(failed) is int else None


def failures(data: Any) -> list[Failed]:
    """The failed rows of one page, with Klaviyo's own words."""
    found = []
    for error in data if isinstance(data, list) else []:
        said = error.get("attributes") if isinstance(error, dict) else None
        if isinstance(said, dict):
            source = said.get("source")
            pointer = str(source.get("pointer", "")) if isinstance(source, dict) else ""
            number = next((int(step) for step in pointer.split("/") if step.isdecimal()), None)
            code, words = str(said.get("code")), said.get("detail") or said.get("title") or ""
            told = orjson.dumps({name: said[name] for name in said if name != "original_payload"})
            found.append(Failed(number, code, f"{code}: {words} at {pointer}", told.decode()))
    return found
