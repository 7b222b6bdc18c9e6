"""Events asked for: which metrics are meant, and how an answer becomes what a webhook would have brought."""

from typing import Any
from urllib.parse import parse_qs

import pytest

from streams.config.sections import Engagement
from streams.klaviyo import polling
from streams.klaviyo.engagement import Delivery, read
from streams.klaviyo.polling import Metric
from streams.segment.refusal import Refusal


def metric(found: str, called: str, **integration: Any) -> dict[str, Any]:
    return {"type": "metric", "id": found, "attributes": {"name": called, "integration": integration}}


def event(found: str, **attributes: Any) -> dict[str, Any]:
    relations = {"profile": {"data": {"type": "profile", "id": "P1"}}}
    return {"type": "event", "id": found, "attributes": attributes, "relationships": relations}


PERSON = {"type": "profile", "id": "P1", "attributes": {"email": "a@shop.io", "external_id": "u1"}}


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("Opened Email", "opened_email"),
        ("Marked Email as Spam", "marked_email_as_spam"),
        ("Unsubscribed from Email Marketing", "unsubscribed_from_email_marketing"),
        ("Consented to Receive SMS", "consented_to_receive_sms"),
        ("Opened  E-mail!", "opened_e_mail"),
    ],
)
def test_a_topic_is_named_after_its_metric(name: str, topic: str) -> None:
    assert polling.topic_of(name) == f"event:klaviyo.{topic}"


def test_only_klaviyos_own_metrics_of_the_wanted_topics_are_asked_for() -> None:
    found = [
        metric("M1", "Opened Email", key="klaviyo", name="Klaviyo"),
        metric("M2", "Opened Email", key="mailchimp", name="Mailchimp"),
        metric("M3", "Clicked Email", name="Klaviyo"),
        metric("M4", "Placed Order", key="api", name="API"),
        metric("M5", "Active on Site", key="klaviyo"),
        {"type": "metric", "id": "M6", "attributes": {"name": "Opened Email", "integration": None}},
        {"type": "metric", "id": "M7", "attributes": {"name": None}},
    ]
    wanted = list(polling.wanted(found, Engagement().forward))
    assert wanted == [
        Metric("M1", "event:klaviyo.opened_email"),
        Metric("M3", "event:klaviyo.clicked_email"),
    ]
    assert [each.id for each in polling.wanted(found, ("event:klaviyo.*",))] == ["M1", "M3", "M5"]


def test_events_are_asked_for_oldest_first_with_whose_they_are() -> None:
    request = polling.find_events("M1", 1_700_000_000, "C")
    asked = {name: values[0] for name, values in parse_qs(request.query).items()}
    assert asked == {
        "filter": 'equals(metric_id,"M1"),greater-or-equal(timestamp,1700000000)',
        "sort": "timestamp",
        "page[size]": "1000",
        "include": "profile",
        "fields[profile]": "email,phone_number,external_id",
        "page[cursor]": "C",
    }


def test_an_item_reads_as_a_webhooks() -> None:
    told = [event("E1", timestamp=1_700_000_000, datetime="2023-11-14T22:13:20+00:00")]
    (item,) = polling.items(told, [PERSON], "event:klaviyo.opened_email", 5)
    assert (item.event_id, item.at_s) == ("E1", 1_700_000_000)
    made = read(item.value, b"{}", Delivery("acme", "acme", 7))
    assert not isinstance(made, Refusal)
    identifier, engagement = made
    assert identifier == "u:u1"
    assert (engagement["event_id"], engagement["time"]) == ("E1", 1_700_000_000_000)
    assert (engagement["email"], engagement["klaviyo_id"]) == ("a@shop.io", "P1")


def test_what_an_answer_lacks_is_no_error() -> None:
    told = [event("E1", datetime="1970-01-01T00:01:00+00:00"), event("E2"), "E3", {"id": 4}]
    found = polling.items(told, None, "t", 5)
    assert [(item.event_id, item.at_s) for item in found] == [("E1", 60), ("E2", 5)]
    assert polling.items(None, None, "t", 5) == []
