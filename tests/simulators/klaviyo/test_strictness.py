"""What Klaviyo refuses, the simulator refuses, in the same words and places."""

from __future__ import annotations

import time
from typing import Any

import orjson
import pytest

from streams.route.formats import CURRENCIES
from streams.simulators.klaviyo import rules
from streams.simulators.klaviyo.routes import ROUTES
from streams.simulators.klaviyo.scopes import SCOPES
from tests.simulators.klaviyo.bodies import bulk, event, profile
from tests.simulators.klaviyo.sim import HEADERS, Sim

ROW = "/data/attributes/events-bulk-create/data"


async def errors(response: Any) -> list[tuple[str, str | None]]:
    body = await response.json(content_type=None)
    return [(error["detail"], error["source"].get("pointer")) for error in body["errors"]]


async def test_a_missing_or_wrong_key_is_a_401_of_json_api(sim: Sim) -> None:
    for given in ("", "Klaviyo-API-Key wrong", "Bearer pk_acme"):
        response = await sim.post("/api/events", event(), Authorization=given)

        assert response.status == 401
        error = (await response.json(content_type=None))["errors"][0]
        assert {"id", "code", "title", "detail", "source"} <= set(error)


@pytest.mark.parametrize(
    ("revision", "status", "detail"),
    [
        ("", 400, "The revision header is required."),
        ("soon", 400, "'soon' is not a valid revision."),
        ("2020-01-01", 404, "No valid revisions found for method"),
        ("2031-01-15", 404, "Unable to specify a future revision date"),
        ("2026-07-15", 202, None),
        ("2026-10-15", 202, None),
    ],
)
async def test_the_revision_must_be_one_that_is_served(
    sim: Sim, revision: str, status: int, detail: str | None
) -> None:
    response = await sim.post("/api/events", event(), revision=revision)

    assert response.status == status
    if detail:
        assert (await errors(response))[0][0] == detail


async def test_media_types(sim: Sim) -> None:
    assert (
        await sim.post("/api/events", orjson.dumps(event()), **{"Content-Type": "text/plain"})
    ).status == 415
    plain = {"Content-Type": "application/json; charset=utf-8"}
    assert (await sim.post("/api/events/", orjson.dumps(event()), **plain)).status == 202


async def test_unknown_paths_and_methods(sim: Sim) -> None:
    assert (await sim.get("/api/nothing")).status == 404
    assert (await sim.call("PUT", "/api/events", event())).status == 405
    assert (await sim.get("/api/v2/lists")).status == 410
    assert (await sim.post("/api/events", "{")).status == 400


async def test_unknown_fields_are_named_with_their_resource(sim: Sim) -> None:
    body = profile(email="ada@shop.io")
    body["data"]["first_name"] = "Ada"
    body["data"]["attributes"]["anonymous_id"] = "x"

    response = await sim.post("/api/profile-import", body)

    assert response.status == 400
    assert sorted(await errors(response)) == [
        ("'anonymous_id' is not a valid field for the resource 'profile'.", "/data/attributes/anonymous_id"),
        ("'first_name' is not a valid field for the resource 'profile'.", "/data/first_name"),
    ]
    query = await sim.get("/api/metrics?page_size=3")
    assert (await errors(query))[0][0] == "'page_size' is not a valid field for the resource 'metric'."
    assert (await sim.get("/api/lists?additional-fields[list]=profile_count")).status == 400
    assert (await sim.get("/api/profile-suppression-bulk-create-jobs?page[size]=3")).status == 400


async def test_types_and_required_fields(sim: Sim) -> None:
    wrong = event(value="9.5")
    wrong["data"]["type"] = "events"
    del wrong["data"]["attributes"]["metric"]

    response = await sim.post("/api/events", wrong)

    pointers = [pointer for _, pointer in await errors(response)]
    assert sorted(str(at) for at in pointers) == [
        "/data/attributes/metric",
        "/data/attributes/value",
        "/data/type",
    ]


def deep(levels: int) -> dict[str, Any]:
    return {"a": deep(levels - 1)} if levels else {}


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        ({"properties": {f"p{n}": n for n in range(401)}}, "properties"),
        ({"properties": {"s": "x" * 100_001}}, "properties/s"),
        ({"properties": deep(11)}, "properties" + "/a" * 10),
        ({"properties": {"l": [0] * 4001}}, "properties/l"),
        ({"metric": "m" * 128}, "metric/data/attributes/name"),
        ({"time": "1989-12-31T23:59:59Z"}, "time"),
        ({"time": "2099-01-01T00:00:00Z"}, "time"),
        ({"time": "yesterday"}, "time"),
        ({"unique_id": ""}, "unique_id"),
        ({"unique_id": "u" * 256}, "unique_id"),
        ({"value": True}, "value"),
        ({"value_currency": "EURO"}, "value_currency"),
        ({"email": "no-at-sign"}, "profile/data/attributes/email"),
        ({"profile": {"phone_number": "0123"}}, "profile/data/attributes/phone_number"),
        ({"profile": {"phone_number": "+1\uff12025550101"}}, "profile/data/attributes/phone_number"),
        ({"profile": {}}, "profile/data/attributes"),
        ({"profile": {"email": "ada@shop.io", "phone": "1"}}, "profile/data/attributes/phone"),
    ],
)
async def test_event_rules_hold_for_single_and_bulk(
    sim: Sim, attributes: dict[str, Any], pointer: str
) -> None:
    single = await sim.post("/api/events", event(**attributes))
    many = await sim.post("/api/event-bulk-create-jobs", bulk(event("bob@shop.io"), event(**attributes)))

    assert (single.status, many.status) == (400, 400)
    assert [at for _, at in await errors(single)] == [f"/data/attributes/{pointer}"]
    inner = pointer if pointer.startswith("profile") else f"events/data/0/attributes/{pointer}"
    assert [at for _, at in await errors(many)] == [f"{ROW}/1/attributes/{inner}"]
    assert await sim.view("events") == []


async def test_what_is_at_its_limit_passes(sim: Sim) -> None:
    body = event(
        metric="m" * 127,
        unique_id="u" * 255,
        time="1990-01-01T00:00:00+00:00",
        value=0,
        value_currency="USD",
        properties={f"p{n}": "x" for n in range(399)} | {"deep": deep(8), "long": None},
    )
    body["data"]["attributes"]["properties"].pop("long")

    assert (await sim.post("/api/events", body)).status == 202


def test_every_currency_in_circulation_is_one() -> None:
    assert [code for code in sorted(CURRENCIES) if rules.currency(code)] == []
    assert rules.currency("XQQ")


async def test_a_bulk_call_takes_1000_events_and_5_mb(sim: Sim) -> None:
    rows = [event(f"p{n}@shop.io", unique_id=str(n)) for n in range(1001)]
    assert (await sim.post("/api/event-bulk-create-jobs", bulk(*rows))).status == 400
    assert (await sim.post("/api/event-bulk-create-jobs", bulk(*rows[:1000]))).status == 202
    large = [event(unique_id=str(n), properties={"x": "y" * 99_000}) for n in range(51)]
    assert (await sim.post("/api/event-bulk-create-jobs", bulk(*large))).status == 400
    assert len(await sim.view("events")) == 1000


async def test_a_bulk_call_of_1000_events_is_quick(sim: Sim) -> None:
    properties = {"order": "1001", "total": 12.5, "items": [{"sku": "a", "n": 1}, {"sku": "b", "n": 2}]}
    spent = []
    for turn in range(3):
        stamp = "2026-03-01T10:00:00Z"
        rows = [
            event(f"p{n}@shop.io", unique_id=f"{turn}-{n}", properties=properties, time=stamp)
            for n in range(1000)
        ]
        body = orjson.dumps(bulk(*rows))
        started = time.process_time()
        response = await sim.post("/api/event-bulk-create-jobs", body)
        spent.append(time.process_time() - started)
        assert response.status == 202

    assert min(spent) < 0.12  # the promise is 60 ms; the rest is for a slow machine under test


async def test_meta_of_a_single_events_profile_moved_in_2026_10(sim: Sim) -> None:
    meta = {"patch_properties": {"append": {"tags": "new"}}}
    inside = event(profile={"email": "ada@shop.io", "meta": meta})
    beside = event()
    beside["data"]["attributes"]["profile"]["data"]["meta"] = meta
    statuses = [
        (await sim.post("/api/events", body, revision=revision)).status
        for revision in ("2026-07-15", "2026-10-15")
        for body in (inside, beside)
    ]

    assert statuses == [202, 400, 400, 202]


@pytest.mark.parametrize("path", ["/api/events", "/api/profile-import", "/api/profiles"])
async def test_an_invalid_phone_beside_an_address_is_a_partial_failure(sim: Sim, path: str) -> None:
    attributes = {"email": "ada@shop.io", "phone_number": "555"}
    body = event(profile=attributes) if path == "/api/events" else profile(**attributes)

    response = await sim.post(path, body)

    assert response.status in (201, 202)
    assert response.headers["X-Klaviyo-Partial-Failure"] == "phone_number"
    assert (await sim.view("profiles"))[0]["phone_number"] is None


async def test_fake_addresses_are_dropped_when_asked(sim: Sim) -> None:
    await sim.configure(drop_fake_emails=True)

    assert (await sim.post("/api/events", event("ada@example.com"))).status == 202
    assert (await sim.post("/api/events", event("ada@shop.io"))).status == 202
    assert [row["email"] for row in await sim.view("events")] == ["ada@shop.io"]


async def test_headers_of_the_log_are_lower_case_and_bodies_json(sim: Sim) -> None:
    await sim.post("/api/events/?", event(unique_id="a"))
    await sim.post("/api/events", b"\xff")

    lines = (await (await sim.client.get("/sim/requests?since=0")).text()).splitlines()
    first, second = (orjson.loads(line) for line in lines)
    assert first["n"] == 1
    assert first["account"] == "acme"
    assert first["headers"]["revision"] == HEADERS["revision"]
    assert first["body"] == event(unique_id="a")
    assert (first["status"], first["recorded"], first["fault"]) == (202, 1, None)
    assert second["body"] == {"base64": "/w=="}
    assert second["response"]["errors"][0]["status"] == 400
    assert (await (await sim.client.get("/sim/requests?since=2")).text()) == ""


async def test_a_key_without_the_scope_is_refused_before_anything_is_counted(sim: Sim) -> None:
    await sim.configure(scopes={"pk_acme": ["events:write"]})

    assert (await sim.post("/api/events", event())).status == 202
    refused = await sim.get("/api/lists/L1/profiles")
    assert refused.status == 403
    assert (await errors(refused))[0][0] == "The API key lacks the scopes lists:read, profiles:read."
    assert "RateLimit-Remaining" not in refused.headers
    full_access = await sim.get("/api/metrics", Authorization="Klaviyo-API-Key pk_acme_2")
    assert full_access.status == 200


def test_every_operation_says_which_scopes_it_needs() -> None:
    assert {route.budget for route in ROUTES} == set(SCOPES)
