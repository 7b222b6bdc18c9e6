"""Segment's traits as Klaviyo's attributes."""

from typing import Any

import pytest

from streams.config import ConfigError
from tests.route.sample import EVERYTHING, mapped, payloads, route, router


def attributes(traits: Any, **message: Any) -> Any:
    return mapped({"type": "identify", "traits": traits, **message})["attributes"]


def test_the_specifications_example() -> None:
    traits = {
        "email": "peter@example.com",
        "phone": "(415) 555-2671",
        "firstName": "Peter",
        "lastName": "Gibbons",
        "title": "VP of Derp",
        "avatar": "https://example.com/p.jpg",
        "company": {"name": "Initech", "id": "c-1", "employee_count": 329},
        "address": {
            "street": "6th St",
            "city": "San Francisco",
            "state": "CA",
            "postalCode": "94103",
            "country": "USA",
        },
        "createdAt": "2025-11-02T10:00:00Z",
        "plan": "premium",
        "logins": 5,
    }
    context = {"ip": "203.0.113.10", "timezone": "Europe/Amsterdam", "locale": "en_US"}
    assert attributes(traits, context=context) == {
        "first_name": "Peter",
        "last_name": "Gibbons",
        "title": "VP of Derp",
        "image": "https://example.com/p.jpg",
        "organization": "Initech",
        "locale": "en-US",
        "location": {
            "address1": "6th St",
            "city": "San Francisco",
            "region": "CA",
            "zip": "94103",
            "country": "USA",
            "ip": "203.0.113.10",
            "timezone": "Europe/Amsterdam",
        },
        "properties": {
            "company": {"id": "c-1", "employee_count": 329},
            "createdAt": "2025-11-02T10:00:00Z",
            "plan": "premium",
            "logins": 5,
        },
    }


@pytest.mark.parametrize("key", ["postalCode", "postal_code", "zip", "zipCode"])
def test_every_spelling_of_the_postal_code(key: str) -> None:
    assert attributes({"address": {key: "94103"}})["location"] == {"zip": "94103"}
    assert attributes({key: 94103})["location"] == {"zip": "94103"}


@pytest.mark.parametrize(("first", "last"), [("firstName", "lastName"), ("first_name", "last_name")])
def test_camel_case_and_snake_case(first: str, last: str) -> None:
    assert attributes({first: "A", last: "B"}) == {"first_name": "A", "last_name": "B"}


def test_a_full_name_gives_both_names_only_where_there_are_none() -> None:
    whole = attributes({"name": "Ada King Lovelace"})
    assert (whole["first_name"], whole["last_name"]) == ("Ada", "King Lovelace")
    assert whole["properties"] == {"name": "Ada King Lovelace"}
    assert attributes({"name": "Ada L", "lastName": "Lovelace"}) == {
        "last_name": "Lovelace",
        "properties": {"name": "Ada L"},
    }


def test_null_clears_an_attribute() -> None:
    found = attributes({"firstName": None, "plan": None, "address": {"city": None}})
    assert found == {"first_name": None, "location": {"city": None}, "properties": {"plan": None}}


def test_what_does_not_fit_an_attribute_stays_a_property() -> None:
    names = {"firstName": {"a": 1}, "title": True, "company": "Initech"}
    found = attributes({**names, "address": "6th St 1", "timezone": "12 o'clock"})
    assert found == {
        "organization": "Initech",
        "location": {"address1": "6th St 1"},
        "properties": {"firstName": {"a": 1}, "timezone": "12 o'clock", "title": True},
    }


def test_a_second_spelling_with_another_value_stays_a_property() -> None:
    assert attributes({"zip": "1", "address": {"postalCode": "2", "floor": 3}}) == {
        "location": {"zip": "1"},
        "properties": {"address": {"postalCode": "2", "floor": 3}},
    }


def test_identifiers_are_left_to_identity() -> None:
    traits = {"email": "Peter@Example.com ", "phone": "(415) 555-2671", "id": "97980cfea0067"}
    routed = route(EVERYTHING, {"type": "identify", "traits": traits})
    assert payloads(routed) == [{"attributes": {}}], "the person is made all the same"
    assert routed.unmapped == []


def test_an_identifier_that_identity_did_not_take_is_counted() -> None:
    traits = {"email": "not an address", "phone": "n/a", "id": "other"}
    routed = route(EVERYTHING, {"type": "identify", "traits": traits})
    assert routed.unmapped == ["traits.email", "traits.phone"]
    assert payloads(routed)[0]["attributes"] == {"properties": {"id": "other"}}


def test_a_groups_traits_are_not_the_persons() -> None:
    traits = {"name": "Initech", "email": "info@initech.com"}
    found = mapped({"type": "group", "groupId": "g", "traits": traits})
    assert found["attributes"] == {
        "organization": "Initech",
        "properties": {"group": {"id": "g", "name": "Initech", "email": "info@initech.com"}},
    }


def test_a_context_that_can_not_be_used_is_counted() -> None:
    context = {"ip": "unknown", "timezone": 5}
    routed = route(EVERYTHING, {"type": "identify", "traits": {}, "context": context})
    assert routed.unmapped == ["context.ip", "context.timezone"]


def test_a_few_digits_are_not_the_persons_number() -> None:
    routed = route(EVERYTHING, {"type": "identify", "traits": {"phone": "671"}})
    assert routed.unmapped == ["traits.phone"]


PERSON = {
    "firstName": "Peter",
    "last_name": "Gibbons",
    "jobTitle": "Engineer",
    "company": "Initech",
    "address": {"city": "Utrecht", "country": "NL", "floor": 3},
    "plan": "p",
}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "drop: [firstName, title, address, company]",
            {"last_name": "Gibbons", "properties": {"plan": "p"}},
        ),
        (
            "drop: [first_name, last_name, job_title, location.city, organization, plan]",
            {"location": {"country": "NL"}, "properties": {"address": {"floor": 3}}},
        ),
        (
            "drop: [address, company, plan, jobTitle], rename: {firstName: Vorname, last_name: Nachname}",
            {"properties": {"Vorname": "Peter", "Nachname": "Gibbons"}},
        ),
        (  # the trait is left out, the attribute that the rule makes of it stays
            "drop: [jobTitle, firstName, last_name, company, address], fields: {title: $.traits.jobTitle}",
            {"title": "Engineer", "properties": {"plan": "p"}},
        ),
        ("drop: [firstName], template: none, fields: {first_name: $.traits.plan}", {"first_name": "p"}),
    ],
)
def test_attributes_are_dropped_and_renamed_by_klaviyos_name_and_segments(
    said: str, expected: dict[str, Any]
) -> None:
    message = {"type": "identify", "traits": PERSON}
    routed = route(router(f"- {{when: type = 'identify', do: profile, {said}}}"), message)
    assert payloads(routed)[0]["attributes"] == expected


@pytest.mark.parametrize("name", ["email", "phone", "external_id"])
def test_who_somebody_is_can_not_be_dropped(name: str) -> None:
    with pytest.raises(ConfigError, match="tells whose the profile is"):
        router(f"- {{when: type = 'identify', do: profile, drop: {name}}}")
