"""What Klaviyo reports about consent, as word to the consent lane."""

from typing import Any

import orjson
import pytest

from streams.klaviyo.observations import stranger
from streams.route.observing import observed
from streams.segment.envelope import Profile
from tests.route.sample import PETER
from tests.route.test_engagement import BACK, engagement

NOBODY: Profile = {
    "id": "",
    "email": "peter@example.com",
    "phone": None,
    "user_id": None,
    "anonymous_ids": [],
}


def payload(topic: str, properties: Any = None) -> dict[str, Any] | None:
    found = observed(engagement(topic, properties), PETER, BACK)
    return None if found is None else orjson.loads(found["payload"])


@pytest.mark.parametrize(
    ("topic", "status", "channels"),
    [
        ("unsubscribed", "unsubscribed", {"email": ["marketing"]}),
        ("unsubscribed_from_email_marketing", "unsubscribed", {"email": ["marketing"]}),
        ("marked_email_as_spam", "unsubscribed", {"email": ["marketing"]}),
        ("subscribed_to_email_marketing", "subscribed", {"email": ["marketing"]}),
        ("consented_to_receive_sms", "subscribed", {"sms": ["marketing"]}),
        ("subscribed_to_sms_marketing", "subscribed", {"sms": ["marketing"]}),
        ("unsubscribed_from_sms", "unsubscribed", {"sms": ["marketing"]}),
        ("unsubscribed_from_sms_transactional", "unsubscribed", {"sms": ["transactional"]}),
        ("unsubscribed_from_whatsapp_marketing", "unsubscribed", {"whatsapp": ["marketing"]}),
        ("suppressed", "suppressed", {"email": ["marketing"]}),
    ],
)
def test_what_speaks_of_consent_is_observed_at_its_own_time(topic: str, status: str, channels: Any) -> None:
    assert payload(topic) == {"channels": channels, "status": status}


@pytest.mark.parametrize("topic", ["opened_email", "bounced_email", "subscribed_to_list", "sent_sms"])
def test_nothing_else_is_taken_for_consent_membership_of_a_list_neither(topic: str) -> None:
    assert payload(topic) is None


@pytest.mark.parametrize(
    ("properties", "named"),
    [
        ({"List": "News", "$list": "L1"}, {"list": "L1"}),
        ({"List": "News"}, {"list_name": "News"}),
    ],
)
def test_a_farewell_to_one_list_names_it(properties: Any, named: dict[str, str]) -> None:
    found = payload("unsubscribed_from_list", properties)
    assert found is not None
    assert found.items() >= named.items()
    assert ("list" in found) != ("list_name" in found)


def test_a_farewell_to_a_list_that_is_not_named_is_not_taken_for_one_to_all() -> None:
    assert payload("unsubscribed_from_list") is None


def test_the_operation_is_for_the_person_and_always_the_same() -> None:
    first, again = (observed(engagement("unsubscribed"), PETER, BACK) for _ in range(2))
    assert first is not None
    assert first == again
    assert (first["kind"], first["profile"], first["event_id"], first["origin"], first["time"]) == (
        "observed", PETER, "ev1", BACK, 1_767_225_600_123,
    )  # fmt: skip


def test_whom_nobody_knows_goes_under_a_name_made_of_the_address() -> None:
    found = observed(engagement("unsubscribed"), NOBODY, BACK)
    assert found is not None
    assert found["profile"]["id"] == stranger("peter@example.com", None)
    assert "peter" not in found["profile"]["id"]
    assert observed(engagement("unsubscribed"), {**NOBODY, "email": None}, BACK) is None
