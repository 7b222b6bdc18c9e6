"""One call of each kind that the line makes, as its own code makes it, and what is read of the answers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import orjson

from streams.klaviyo import audience, consents, erasure, imports, merging, polling, receipts, requests
from streams.klaviyo.budgets import LIMITS
from streams.klaviyo.requests import Request

WHO = {"email": "a@shop.io", "phone_number": "+12025550123", "external_id": "u1", "anonymous_id": "an1"}
EVENT = {
    "metric": "Placed Order",
    "properties": {"a": [1, {"b": None}]},
    "value": 9.5,
    "value_currency": "EUR",
}
ATTRIBUTES = {
    "first_name": "A", "last_name": "B", "organization": "O", "locale": "en-US", "title": "T",
    "image": "https://x/y",
    "location": {"address1": "a", "address2": "b", "city": "c", "country": "FR", "region": "r", "zip": "1",
                 "latitude": 1.5, "longitude": 2.5, "timezone": "Europe/Paris", "ip": "1.2.3.4"},
    "properties": {"plan": "pro", "n": 1},
}  # fmt: skip
PATCH = {"append": {"tags": "x"}, "unappend": {"tags": "y"}, "unset": ["old"]}
ALL_CHANNELS = consents.Person(
    {"email": "a@shop.io", "phone_number": "+12025550123"},
    tuple(f"{channel}.{kind}" for channel, kinds in consents.KINDS.items() for kind in sorted(kinds)),
)
EARLIER = consents.Person({"email": "b@shop.io"}, ("email.marketing",), "2026-01-02T03:04:05.000+00:00")
ERRORS = ("errors/*/code", "errors/*/detail", "errors/*/source/pointer")
"""Of every error; ``meta.duplicate_profile_id`` of a 409 stands in no model, only in Klaviyo's prose."""

_MARKS = tuple(
    f"data/*/attributes/subscriptions/{part}/{field}"
    for part, fields in {
        "email/marketing": (
            "consent", "consent_timestamp", "last_updated",
            "suppression/*/reason", "suppression/*/timestamp",
            "list_suppressions/*/list_id", "list_suppressions/*/reason", "list_suppressions/*/timestamp",
        ),
        "sms/marketing": ("consent", "consent_timestamp", "last_updated"),
        "sms/transactional": ("consent", "consent_timestamp", "last_updated"),
        "whatsapp/marketing": ("consent", "last_updated"),
        "whatsapp/transactional": ("consent", "last_updated"),
    }.items()
    for field in fields
)  # fmt: skip
_PROFILES = tuple(
    f"data/*/{field}"
    for field in ("id", *(f"attributes/{name}" for name in ("email", "phone_number", "external_id")))
)


@dataclass(frozen=True, slots=True)
class Call:
    """A request, and the paths in its answer that we look at."""

    request: Request
    reads: tuple[str, ...] = ()
    budgeted: bool = True

    @property
    def endpoint(self) -> str:
        """Method and path, ids as ``{}``."""
        return f"{self.request.method} {re.sub('/ID(?=/|$)', '/{}', self.request.path)}"

    def told(self) -> dict[str, Any]:
        """What the judge is told."""
        limit = LIMITS[self.request.budget] if self.budgeted else None
        return {
            "endpoint": self.endpoint,
            "body": orjson.loads(self.request.body) if self.request.body else None,
            "query": dict(parse_qsl(self.request.query)),
            "reads": list(self.reads),
            "limit": f"{limit.burst}/s {limit.steady}/m" if limit else "",
        }


def _event(who: dict[str, str], *, backfill: bool = False) -> requests.EventRow:
    return requests.event_row(who, EVENT, "op1", 1_700_000_000_123, backfill)


def _look(path: str, *reads: str, **query: str) -> Call:
    """What the check-up asks; its budget is nobody's."""
    made = "&".join(f"{name}={audience.quoted(value)}" for name, value in query.items())
    return Call(Request("GET", path, b"", "", query=made), reads, budgeted=False)


def calls() -> list[Call]:
    """All of them."""
    people = [ALL_CHANNELS]
    members = [(0,), (1,)]
    return [
        Call(requests.single_event(_event(WHO))),
        Call(requests.single_event(_event({"external_id": "u1"}, backfill=True))),
        Call(requests.bulk_events([_event(WHO), _event(WHO), _event({"email": "b@shop.io"}, backfill=True)])),
        Call(requests.profile_import(WHO, ATTRIBUTES, PATCH), ("data/id", "data/type")),
        Call(requests.profile_import(WHO, {}), ("data/id", "data/type")),
        Call(imports.create([WHO_IMPORTED | ATTRIBUTES, {"external_id": "u2"}], members), ("data/id",)),
        Call(imports.look("ID"), ("data/attributes/status", "data/attributes/failed_count")),
        Call(
            imports.errors("ID", "CURSOR"),
            (*(f"data/*/attributes/{name}" for name in ("code", "title", "detail", "source/pointer",
                                                         "original_payload")), "links/next"),
        ),
        Call(merging.merge("01INTO", "01FROM"), ("data/id", "data/type")),
        *(Call(erasure.erase({by: value})) for by, value in _ERASED),
        Call(audience.find_list("name", "VIP"), _LISTS),
        Call(audience.find_list("id", "L1"), _LISTS),
        Call(audience.create_list("VIP"), ("data/id", "data/attributes/opt_in_process")),
        Call(audience.list_size("ID"), ("data/attributes/profile_count",)),
        *(Call(audience.find_profiles(by, ["x"], subscriptions=True), (*_PROFILES, *_MARKS)) for by in _BY),
        Call(audience.find_properties("email", "x"), (*_PROFILES, "data/*/attributes/properties")),
        *(
            Call(audience.find_members("ID", by, ["x"]), ("data/*/id", f"data/*/attributes/{by}"))
            for by in ("email", "phone_number")
        ),
        Call(audience.change_members("ID", ["K1", "K2"], members, add=True)),
        Call(audience.change_members("ID", ["K1", "K2"], members, add=False)),
        Call(consents.subscribe(people, list_id="L1", custom_source="checkout")),
        Call(consents.subscribe([EARLIER], historical=True)),
        Call(consents.unsubscribe(people, list_id="L1")),
        Call(consents.suppress(["a@b.io"])),
        Call(consents.unsuppress(["a@b.io"])),
        Call(receipts.find_metrics("CURSOR"), ("data/*/id", "data/*/attributes/name", "links/next")),
        Call(
            receipts.find_events("M1", 1, 2, "CURSOR"),
            ("data/*/id", "data/*/attributes/event_properties/$event_id", "links/next"),
        ),
        Call(polling.find_metrics("CURSOR"), ("data/*/id", *_METRIC, "links/next")),
        Call(polling.find_events("M1", 1, "CURSOR"), _POLLED),
        _look(
            "/api/accounts",
            "data/*/attributes/contact_information/organization_name",
            "data/*/attributes/test_account",
        ),
        _look("/api/lists/ID", "data/id"),
        _look(
            "/api/webhooks",
            "data/*/attributes/enabled",
            "data/*/relationships/webhook-topics/data/*/id",
            include="webhook-topics",
        ),
    ]  # fmt: skip


WHO_IMPORTED = {name: value for name, value in WHO.items() if name != "anonymous_id"}
_ERASED = (("email", "a@b.io"), ("phone_number", "+12025550123"), ("id", "K"))
_BY = ("email", "phone_number", "external_id", "id")
_METRIC = tuple(f"data/*/attributes/{name}" for name in ("name", "integration/key", "integration/name"))
_POLLED = (
    "data/*/id",
    *(f"data/*/attributes/{name}" for name in ("timestamp", "datetime", "event_properties")),
    "data/*/relationships/profile/data/id",
    "included",
    "links/next",
)
_LISTS = ("data/*/id", "data/*/attributes/opt_in_process")
