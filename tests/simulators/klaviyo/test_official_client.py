"""Klaviyo's own client, unmodified, works against the simulator."""

from __future__ import annotations

import asyncio
from typing import Any

from klaviyo_api import KlaviyoAPI
from openapi_client.api_arg_options import USE_DICTIONARY_FOR_RESPONSE_DATA

from tests.simulators.klaviyo.bodies import bulk, event, profile
from tests.simulators.klaviyo.sim import Sim


async def test_writes_and_reads_with_the_official_client(sim: Sim) -> None:
    host = str(sim.client.make_url("/")).rstrip("/")

    def use() -> dict[str, Any]:
        api = KlaviyoAPI("pk_acme", test_host=host, max_retries=0)
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

    shown = await asyncio.to_thread(use)

    assert [row.id for row in shown["profiles"]] == [shown["made"]] == [shown["profile"].id]
    assert shown["profile"].attributes.first_name == "Ada"
    assert [row.attributes.name for row in shown["metrics"]] == ["Placed Order"]
    assert [row["attributes"]["event_properties"]["$event_id"] for row in shown["events"]] == ["a", "b", "c"]
    assert shown["events"][0]["attributes"]["event_properties"]["$value"] == 9.5
    assert shown["pages"] == [2, 1]
    assert len(shown["typed"]) == 3
    assert shown["account"][0].attributes.timezone == "UTC"
