"""Klaviyo's engagement as Segment's email events."""

from typing import Any

import orjson
import pytest

from streams.config import Config, loads
from streams.klaviyo.operation import Operation
from streams.route.engagement import engagement_call
from streams.route.rules import compile_rules
from streams.segment.envelope import Engagement, Origin, Profile
from tests.route.sample import ACCOUNTS, ORIGIN, PETER, envelope

BACK: Origin = {**ORIGIN, "line": "engagement"}
RULES = "\nrules: [{when: 'true', do: event}]\n"


def config(more: str = "", accounts: str = ACCOUNTS) -> Config:
    return loads(accounts + RULES + more, "pipeline.yaml", {})


def engagement(topic: str, properties: Any = None, **changed: Any) -> Engagement:
    resource = {"type": "event", "id": "ev1", "attributes": {"event_properties": properties or {}}}
    item = {"external_id": "ev1", "topic": f"event:klaviyo.{topic}", "payload": {"data": resource}}
    made: dict[str, Any] = {
        "space": "acme",
        "accepted_at": 1,
        "event_id": "ev1",
        "account": "acme",
        "topic": f"event:klaviyo.{topic}",
        "email": "peter@example.com",
        "phone": None,
        "external_id": None,
        "klaviyo_id": "K1",
        "time": 1_767_225_600_123,
        "body": orjson.dumps(item),
    }
    return Engagement(**(made | changed))  # type: ignore[typeddict-item]


def call(found: Operation | str) -> dict[str, Any]:
    assert not isinstance(found, str), found
    answer: dict[str, Any] = orjson.loads(found["payload"])
    return answer


CLICK = {
    "Subject": "Hi",
    "Campaign Name": "Spring",
    "$message": "M1",
    "URL": "https://x.example/a",
    "$campaign": "C1",
}


def test_a_click_is_a_call_of_the_email_spec() -> None:
    found = engagement_call(config(), engagement("clicked_email", CLICK), PETER, BACK)
    assert not isinstance(found, str)
    assert (found["kind"], found["account"], found["event_id"]) == ("segment", "acme", "ev1")
    assert call(found) == {
        "type": "track",
        "messageId": "klaviyo-ev1",
        "userId": "97980cfea0067",
        "event": "Email Link Clicked",
        "properties": {
            "email_id": "M1",
            "email_subject": "Hi",
            "campaign_id": "C1",
            "campaign_name": "Spring",
            "link_id": call(found)["properties"]["link_id"],
            "link_url": "https://x.example/a",
        },
        "timestamp": "2026-01-01T00:00:00.123Z",
        "context": {
            "klaviyo": {"event_id": "ev1", "account": "acme", "topic": "event:klaviyo.clicked_email"},
            "traits": {"email": "peter@example.com"},
        },
        "integrations": {"Klaviyo": False},
    }


@pytest.mark.parametrize(
    ("topic", "name"),
    [
        ("opened_email", "Email Opened"),
        ("clicked_email", "Email Link Clicked"),
        ("bounced_email", "Email Bounced"),
        ("marked_email_as_spam", "Email Marked as Spam"),
        ("unsubscribed", "Unsubscribed"),
        ("email_delivered", "Email Delivered"),
    ],
)
def test_each_topic_has_the_name_of_the_spec(topic: str, name: str) -> None:
    assert call(engagement_call(config(), engagement(topic), PETER, BACK))["event"] == name


def test_the_same_event_has_the_same_id() -> None:
    first, again = (engagement_call(config(), engagement("opened_email"), PETER, BACK) for _ in range(2))
    assert first == again


def test_without_a_user_id_the_latest_anonymous_id_is_the_person() -> None:
    unknown: Profile = {**PETER, "user_id": None}
    found = call(engagement_call(config(), engagement("opened_email"), unknown, BACK))
    assert found["anonymousId"] == "a2"
    assert "userId" not in found


def test_without_any_id_no_orphan_is_made() -> None:
    nobody: Profile = {**PETER, "user_id": None, "anonymous_ids": []}
    assert engagement_call(config(), engagement("opened_email"), nobody, BACK) == "no_identifier"


def test_only_what_is_configured_goes_back() -> None:
    answer = engagement_call(config(), engagement("sent_sms"), PETER, BACK)
    assert answer == "not_forwarded:event:klaviyo.sent_sms"
    every = config("engagement: {forward: 'event:klaviyo.*'}")
    assert call(engagement_call(every, engagement("sent_sms"), PETER, BACK))["event"] == "Sent Sms"
    one_way = config(accounts=ACCOUNTS.replace(", segment: {write_key: w1}", ""))
    assert engagement_call(one_way, engagement("opened_email"), PETER, BACK) == (
        "not_forwarded:no segment write key for acme"
    )


def test_further_properties_are_paths_in_klaviyos_event() -> None:
    more = config(
        "engagement: {properties: {client: \"$.attributes.event_properties['Client Name']\", no: $.x}}"
    )
    found = call(engagement_call(more, engagement("opened_email", {"Client Name": "Gmail"}), PETER, BACK))
    assert found["properties"] == {"client": "Gmail"}


@pytest.mark.parametrize(
    "body", [b"", b"[1]", b'{"payload": 1}', b'{"payload": {"data": {"attributes": []}}}']
)
def test_a_body_without_properties_is_still_a_call(body: bytes) -> None:
    assert (
        call(engagement_call(config(), engagement("opened_email", body=body), PETER, BACK))["properties"]
        == {}
    )


def test_what_goes_to_segment_does_not_come_back() -> None:
    answer = call(engagement_call(config(), engagement("opened_email"), PETER, BACK))
    routed = compile_rules(config()).route(answer, envelope(answer), PETER, ORIGIN, False)
    assert routed.filtered == "loop"
