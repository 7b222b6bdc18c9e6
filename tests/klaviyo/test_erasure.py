"""Erasure as the official client's model of the pinned revision takes it."""

import orjson
from openapi_client.models.data_privacy_create_deletion_job_query import DataPrivacyCreateDeletionJobQuery

from streams.klaviyo.erasure import erase
from tests.klaviyo.test_requests import survives


def test_exactly_one_identifier_is_named() -> None:
    request = erase({"phone_number": "+12025550123", "email": "a@shop.io"})
    survives(DataPrivacyCreateDeletionJobQuery, request)
    profile = orjson.loads(request.body)["data"]["attributes"]["profile"]["data"]
    assert profile["attributes"] == {"email": "a@shop.io"}
    number = orjson.loads(erase({"phone_number": "+12025550123"}).body)
    assert number["data"]["attributes"]["profile"]["data"]["attributes"] == {"phone_number": "+12025550123"}
