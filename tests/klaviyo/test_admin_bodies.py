"""Merges, erasures and import jobs as the official client's models of the pinned revision take them."""

import pytest
from openapi_client.models.data_privacy_create_deletion_job_query import DataPrivacyCreateDeletionJobQuery
from openapi_client.models.profile_import_job_create_query import ProfileImportJobCreateQuery
from openapi_client.models.profile_merge_query import ProfileMergeQuery

from streams.klaviyo import erasure, imports, merging
from tests.klaviyo.test_requests import survives


def test_a_merge_survives_the_official_model() -> None:
    survives(ProfileMergeQuery, merging.merge("01INTO", "01FROM"))


@pytest.mark.parametrize("who", [{"email": "a@b.io", "phone_number": "+12025550123"}, {"id": "01KL"}])
def test_an_erasure_survives_and_names_exactly_one_identifier(who: dict[str, str]) -> None:
    request = erasure.erase(who)
    survives(DataPrivacyCreateDeletionJobQuery, request)
    assert (b"a@b.io" in request.body) + (b"01KL" in request.body) == 1
    assert b"+12025550123" not in request.body


def test_an_import_job_survives_the_official_model() -> None:
    elements = [
        {"email": "a@b.io", "first_name": "A", "location": {"city": "X"}, "properties": {"n": [1, {"a": 2}]}},
        {"external_id": "u2", "title": "T"},
    ]
    survives(ProfileImportJobCreateQuery, imports.create(elements, [(0, 1), (2,)]))


def test_what_a_job_says_is_read() -> None:
    assert imports.status({"attributes": {"status": "complete", "failed_count": 0}}) == ("complete", 0)
    assert imports.status({"attributes": {"status": "complete"}}) == ("complete", None)
    assert imports.status(None) == ("None", None)
    error = {
        "code": "invalid", "title": "Invalid input.", "detail": "No such city",
        "source": {"pointer": "/data/attributes/profiles/data/17/attributes/location"},
        "original_payload": {"secret": 1},
    }  # fmt: skip
    (found,) = imports.failures([{"id": "1", "type": "import-error", "attributes": error}])
    assert (found.number, found.code) == (17, "invalid")
    assert "No such city" in found.detail
    assert "secret" not in found.text
