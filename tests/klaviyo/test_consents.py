"""Consent's calls: how many people one may carry."""

import orjson

from streams.klaviyo import consents
from streams.klaviyo.consents import Person
from streams.klaviyo.requests import BULK_BYTES

GIVEN = "2026-01-01T00:00:00Z"
PARTS = ("email.marketing", "sms.marketing", "sms.transactional", "whatsapp.marketing")


def person(local: str) -> Person:
    return Person(
        {"email": f"{local}@shop.io", "phone_number": "+12025550101"}, PARTS, "2026-01-01T00:00:00Z"
    )


def test_a_call_carries_a_thousand_people() -> None:
    people = [person(str(n)) for n in range(2500)]
    assert [len(part) for part in consents.calls(people, lambda each: each)] == [1000, 1000, 500]
    assert consents.calls([], lambda each: each) == []


def test_a_call_keeps_below_five_megabytes_however_long_the_addresses_are() -> None:
    people = [person("x" * 12_000) for _ in range(900)]
    parts = consents.calls(people, lambda each: each)
    assert sum(map(len, parts)) == 900
    bodies = [consents.subscribe(part, list_id="L", custom_source="s" * 9000).body for part in parts]
    assert max(map(len, bodies)) <= BULK_BYTES
    assert min(map(len, bodies[:-1])) > 0.99 * BULK_BYTES
    assert orjson.loads(bodies[0])
