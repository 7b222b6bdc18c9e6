"""Lists, consent and erasure as the official client's models of the pinned revision take them."""

from typing import Any

import orjson
import pytest
from openapi_client.models.data_privacy_create_deletion_job_query import DataPrivacyCreateDeletionJobQuery
from openapi_client.models.list_members_add_query import ListMembersAddQuery
from openapi_client.models.list_members_delete_query import ListMembersDeleteQuery
from openapi_client.models.subscription_create_job_create_query import SubscriptionCreateJobCreateQuery
from openapi_client.models.subscription_delete_job_create_query import SubscriptionDeleteJobCreateQuery
from openapi_client.models.suppression_create_job_create_query import SuppressionCreateJobCreateQuery
from openapi_client.models.suppression_delete_job_create_query import SuppressionDeleteJobCreateQuery

from streams.klaviyo import singles
from streams.klaviyo.requests import Request
from streams.segment.envelope import Profile
from tests.klaviyo.test_requests import survives

PERSON = Profile(id="p", email="a@shop.io", phone=None, user_id="u", anonymous_ids=[])
WHO = {"email": "a@shop.io", "phone_number": "+12025550123"}
BOTH = {"email": ["marketing"], "sms": ["marketing"]}
SINCE = "2026-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("model", "request_"),
    [
        (ListMembersAddQuery, singles.list_member("list_add", "XYZABC", "01H")),
        (ListMembersDeleteQuery, singles.list_member("list_remove", "XYZABC", "01H")),
        (SubscriptionCreateJobCreateQuery, singles.subscribe(WHO, BOTH, list_="L")),
        (
            SubscriptionCreateJobCreateQuery,
            singles.subscribe(WHO, BOTH, consented_at=SINCE, custom_source="form"),
        ),
        (SubscriptionDeleteJobCreateQuery, singles.unsubscribe(WHO, BOTH, list_="L")),
        (SuppressionCreateJobCreateQuery, singles.suppression("suppress", "a@shop.io")),
        (SuppressionDeleteJobCreateQuery, singles.suppression("unsuppress", "a@shop.io")),
        (DataPrivacyCreateDeletionJobQuery, singles.erase(WHO)),
    ],
)
def test_each_body_survives_the_official_model(model: Any, request_: Request) -> None:
    survives(model, request_)


def test_consent_given_in_the_past_is_told_as_history() -> None:
    attributes = orjson.loads(singles.subscribe(WHO, BOTH, consented_at=SINCE).body)["data"]["attributes"]
    assert attributes["historical_import"] is True
    assert "historical_import" not in orjson.loads(singles.subscribe(WHO, BOTH).body)["data"]["attributes"]


def test_a_channel_needs_its_identifier() -> None:
    assert singles.reachable(PERSON, ["email", "sms", "push"]) == (
        {"email": "a@shop.io"},
        ["email", "push"],
        ["sms"],
    )


def test_erasure_names_exactly_one_identifier() -> None:
    profile = orjson.loads(singles.erase(WHO).body)["data"]["attributes"]["profile"]["data"]
    assert profile["attributes"] == {"email": "a@shop.io"}
