"""Bodies about lists and consent as the official client's models take them, no key lost."""

from typing import Any

import pytest
from openapi_client.models.list_create_query import ListCreateQuery
from openapi_client.models.list_members_add_query import ListMembersAddQuery
from openapi_client.models.list_members_delete_query import ListMembersDeleteQuery
from openapi_client.models.subscription_create_job_create_query import SubscriptionCreateJobCreateQuery
from openapi_client.models.subscription_delete_job_create_query import SubscriptionDeleteJobCreateQuery
from openapi_client.models.suppression_create_job_create_query import SuppressionCreateJobCreateQuery
from openapi_client.models.suppression_delete_job_create_query import SuppressionDeleteJobCreateQuery

from streams.klaviyo import audience, consents
from streams.klaviyo.consents import Person
from streams.klaviyo.requests import Request
from tests.klaviyo.test_requests import survives

WHO = {"email": "a@shop.io", "phone_number": "+12025550123"}
PARTS = (
    "email.marketing",
    "sms.marketing",
    "sms.transactional",
    "whatsapp.marketing",
    "whatsapp.transactional",
)
NOW = Person(WHO, PARTS)
THEN = Person(WHO, PARTS, "2026-01-02T03:04:05.678+00:00")


@pytest.mark.parametrize(
    ("model", "request_"),
    [
        (ListCreateQuery, audience.create_list("News")),
        (ListMembersAddQuery, audience.change_members("ABC123", ["1", "2"], [(0,), (1,)], add=True)),
        (ListMembersDeleteQuery, audience.change_members("ABC123", ["1"], [(0,)], add=False)),
        (SubscriptionCreateJobCreateQuery, consents.subscribe([NOW, NOW])),
        (SubscriptionCreateJobCreateQuery, consents.subscribe([NOW], list_id="ABC123", custom_source="form")),
        (SubscriptionDeleteJobCreateQuery, consents.unsubscribe([NOW])),
        (SubscriptionDeleteJobCreateQuery, consents.unsubscribe([NOW], list_id="ABC123")),
        (SuppressionCreateJobCreateQuery, consents.suppress(["a@shop.io"])),
        (SuppressionDeleteJobCreateQuery, consents.unsuppress(["a@shop.io"])),
    ],
)
def test_a_body_survives_the_official_model(model: Any, request_: Request) -> None:
    survives(model, request_)


def test_dated_consent_survives_the_official_model() -> None:
    survives(SubscriptionCreateJobCreateQuery, consents.subscribe([THEN], historical=True))


def test_a_look_up_names_no_more_than_one_page_and_one_address_hold() -> None:
    emails = [f"{'x' * 60}{n}@shop.io" for n in range(250)]
    pages = list(audience.pages(emails))
    assert [email for page in pages for email in page] == emails
    assert all(len(page) <= audience.LOOKED_UP for page in pages)
    assert all(len(audience.find_profiles("email", page).query) < 8000 for page in pages)
    assert max(map(len, audience.pages([f"u{n}@a.io" for n in range(250)]))) == 100
