"""Bodies as the official client's models of the pinned revision take them, no key lost."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import orjson
import pytest
from openapi_client.api_client import ApiClient
from openapi_client.models.event_create_query_v2 import EventCreateQueryV2
from openapi_client.models.events_bulk_create_job import EventsBulkCreateJob
from openapi_client.models.profile_upsert_query import ProfileUpsertQuery

from streams.klaviyo import requests
from streams.klaviyo.requests import Request

WHO = {"email": "a@shop.io", "phone_number": "+12025550123", "external_id": "u1", "anonymous_id": "an1"}
EVENT = {
    "metric": "Placed Order",
    "properties": {"a": [1, {"b": None}]},
    "value": 9.5,
    "value_currency": "EUR",
}


def survives(model: Any, request: Request) -> None:
    """The models drop what they do not know: nothing of a body may be missing after a round through them."""
    body = orjson.loads(request.body)
    again = ApiClient().sanitize_for_serialization(model.from_dict(body))
    assert list(lost(body, orjson.loads(orjson.dumps(again)))) == []


def lost(given: Any, again: Any, path: str = "") -> Iterator[str]:
    if isinstance(given, dict):
        for name, value in given.items():
            if not isinstance(again, dict) or name not in again:
                yield f"{path}/{name}"
            else:
                yield from lost(value, again[name], f"{path}/{name}")
    elif isinstance(given, list):
        for number, value in enumerate(given):
            yield from lost(value, again[number], f"{path}/{number}")
    elif path.endswith(("/time", "/consented_at")):  # written another way, the same moment
        if datetime.fromisoformat(given) != datetime.fromisoformat(again):
            yield path
    elif given != again:
        yield path


def row(n: int, who: dict[str, str], backfill: bool = False) -> requests.EventRow:
    return requests.event_row(who, EVENT, f"id{n}", 1_700_000_000_123, backfill)


@pytest.mark.parametrize("backfill", [True, False])
def test_a_single_event_survives_the_official_model(backfill: bool) -> None:
    survives(EventCreateQueryV2, requests.single_event(row(1, WHO, backfill)))


def test_what_is_backfill_starts_no_flow() -> None:
    said = [orjson.loads(row(1, WHO, late).event).get("backfill") for late in (True, False)]
    assert said == [True, None]


def test_a_bulk_body_survives_the_official_model() -> None:
    other = {"external_id": "u2"}
    request = requests.bulk_events([row(1, WHO), row(2, WHO), row(3, other, backfill=True), row(4, WHO)])
    survives(EventsBulkCreateJob, request)
    assert request.layout == ((0, 1), (2,), (3,))


def test_a_profile_import_survives_the_official_model() -> None:
    attributes = {
        "first_name": "A", "organization": "O", "locale": "en-US", "title": "T",
        "image": "https://x/y",
        "location": {"address1": "a", "city": "c", "latitude": 1.5, "timezone": "Europe/Paris",
                     "ip": "1.2.3.4"},
        "properties": {"plan": "pro", "n": 1},
    }  # fmt: skip
    patch = {"append": {"tags": "x"}, "unappend": {"tags": "y"}, "unset": ["old"]}
    survives(ProfileUpsertQuery, requests.profile_import(WHO, attributes, patch))
    survives(ProfileUpsertQuery, requests.profile_import(WHO, attributes))


def test_event_calls_carry_identifiers_only_and_no_meta() -> None:
    single = requests.single_event(row(1, WHO))
    bulk = requests.bulk_events([row(1, WHO), row(2, {"email": "b@shop.io"})])
    assert orjson.loads(single.body)["data"]["attributes"]["profile"]["data"] == {
        "type": "profile",
        "attributes": WHO,
    }
    assert b'"meta"' not in single.body + bulk.body


def test_a_profile_import_has_no_anonymous_id_and_keeps_null() -> None:
    body = orjson.loads(requests.profile_import(WHO, {"title": None}).body)
    assert body["data"]["attributes"] == {k: v for k, v in WHO.items() if k != "anonymous_id"} | {
        "title": None
    }


def test_the_size_of_a_bulk_body_is_never_underestimated() -> None:
    rows = [row(n, {"external_id": f"u{n % 3}"}) for n in range(50)]
    request = requests.bulk_events(rows)
    assert len(request.body) <= requests.ENVELOPE_BYTES + sum(map(requests.bulk_size, rows))


def test_time_has_three_fractional_digits_and_an_offset() -> None:
    assert requests.iso(1_700_000_000_000) == "2023-11-14T22:13:20.000+00:00"
    assert requests.iso(-1) == "1969-12-31T23:59:59.999+00:00"


def test_the_newest_anonymous_id_is_sent() -> None:
    profile = {"id": "p", "email": None, "phone": "+1", "user_id": "", "anonymous_ids": ["old", "new"]}
    assert requests.identifiers(profile) == {"phone_number": "+1", "anonymous_id": "new"}  # type: ignore[arg-type]
