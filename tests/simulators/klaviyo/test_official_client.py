"""Klaviyo's own client, unmodified, works against the simulator."""

from __future__ import annotations

import asyncio
from typing import Any

from klaviyo_api import KlaviyoAPI
from openapi_client.api_arg_options import USE_DICTIONARY_FOR_RESPONSE_DATA

from tests.simulators.klaviyo.bodies import bulk, event, profile
from tests.simulators.klaviyo.sim import Sim

SUBSCRIPTION = {"email": {"marketing": {"consent": "SUBSCRIBED"}}}
PERSON = {"type": "profile", "attributes": {"email": "ada@shop.io", "subscriptions": SUBSCRIPTION}}


def _write_and_read(api: KlaviyoAPI) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    api.Events.create_event(event(unique_id="a", value=9.5, time="2026-03-01T10:00:00Z"))
    api.Events.bulk_create_events(
        bulk(
            event("ada@shop.io", unique_id="b", time="2026-03-02T10:00:00Z"),
            event("bob@shop.io", unique_id="c", time="2026-03-03T10:00:00+02:00"),
        )
    )
    made = api.Profiles.create_or_update_profile(
        profile(email="ada@shop.io", external_id="u1", first_name="Ada", properties={"vip": True})
    )
    shown["made"] = made.data.id
    shown["profiles"] = api.Profiles.get_profiles(filter='equals(email,"ada@shop.io")').data
    shown["profile"] = api.Profiles.get_profile(made.data.id).data
    shown["metrics"] = api.Metrics.get_metrics().data
    metric_id = shown["metrics"][0].id
    first = api.Events.get_events(
        filter=f'equals(metric_id,"{metric_id}"),greater-than(datetime,2026-01-01T00:00:00Z)',
        page_size=2,
        sort="datetime",
        options={USE_DICTIONARY_FOR_RESPONSE_DATA: True},
    )
    second = api.Events.get_events(
        filter=f'equals(metric_id,"{metric_id}"),greater-than(datetime,2026-01-01T00:00:00Z)',
        page_size=2,
        sort="datetime",
        page_cursor=first["links"]["next"],
        options={USE_DICTIONARY_FOR_RESPONSE_DATA: True},
    )
    shown["events"] = first["data"] + second["data"]
    shown["pages"] = [len(first["data"]), len(second["data"])]
    shown["typed"] = api.Events.get_events().data
    shown["account"] = api.Accounts.get_accounts().data
    return shown


async def test_writes_and_reads_with_the_official_client(sim: Sim) -> None:
    host = str(sim.client.make_url("/")).rstrip("/")

    shown = await asyncio.to_thread(_write_and_read, KlaviyoAPI("pk_acme", test_host=host, max_retries=0))

    assert [row.id for row in shown["profiles"]] == [shown["made"]] == [shown["profile"].id]
    assert shown["profile"].attributes.first_name == "Ada"
    assert [row.attributes.name for row in shown["metrics"]] == ["Placed Order"]
    assert [row["attributes"]["event_properties"]["$event_id"] for row in shown["events"]] == ["a", "b", "c"]
    assert shown["events"][0]["attributes"]["event_properties"]["$value"] == 9.5
    assert shown["pages"] == [2, 1]
    assert len(shown["typed"]) == 3
    assert shown["account"][0].attributes.timezone == "UTC"


def _data(kind: str, **rest: Any) -> dict[str, Any]:
    return {"data": {"type": kind, **rest}}


def _lists_and_jobs(api: KlaviyoAPI) -> dict[str, Any]:
    made = api.Lists.create_list(_data("list", attributes={"name": "News"}))
    to_list = {"list": {"data": {"type": "list", "id": made.data.id}}}
    api.Profiles.bulk_subscribe_profiles(
        _data(
            "profile-subscription-bulk-create-job",
            attributes={"profiles": {"data": [PERSON]}},
            relationships=to_list,
        )
    )
    rows = [profile(email="bob@shop.io")["data"], profile(external_id="u2")["data"]]
    job = api.Profiles.bulk_import_profiles(
        _data("profile-bulk-import-job", attributes={"profiles": {"data": rows}})
    )
    done = api.Profiles.get_bulk_import_profiles_job(job.data.id)
    errors = api.Profiles.get_errors_for_bulk_import_profiles_job(job.data.id)
    ada, bob = (
        api.Profiles.get_profiles(
            filter=f'equals(email,"{email}")', additional_fields_profile=["subscriptions"]
        ).data[0]
        for email in ("ada@shop.io", "bob@shop.io")
    )
    reference = {"data": [{"type": "profile", "id": bob.id}]}
    api.Lists.add_profiles_to_list(made.data.id, reference)
    members = api.Lists.get_profiles_for_list(made.data.id).data
    api.Lists.remove_profiles_from_list(made.data.id, reference)
    suppressed = {"profiles": {"data": [{"type": "profile", "attributes": {"email": "ada@shop.io"}}]}}
    suppress = api.Profiles.bulk_suppress_profiles(
        _data("profile-suppression-bulk-create-job", attributes=suppressed)
    )
    sources = {"profiles": {"data": [{"type": "profile", "id": bob.id}]}}
    merged = api.Profiles.merge_profiles(_data("profile-merge", id=ada.id, relationships=sources))
    return {
        "consent": ada.attributes.subscriptions.email.marketing.consent,
        "done": done.data.attributes.status,
        "errors": errors.data,
        "members": [row.attributes.email for row in members],
        "suppress": suppress.data.attributes.total_count,
        "merged": merged.data.id == ada.id,
    }


async def test_lists_jobs_and_consent_with_the_official_client(sim: Sim) -> None:
    host = str(sim.client.make_url("/")).rstrip("/")
    shown = await asyncio.to_thread(_lists_and_jobs, KlaviyoAPI("pk_acme", test_host=host, max_retries=0))

    assert shown == {
        "consent": "SUBSCRIBED",
        "done": "complete",
        "errors": [],
        "members": ["ada@shop.io", "bob@shop.io"],
        "suppress": 1,
        "merged": True,
    }
