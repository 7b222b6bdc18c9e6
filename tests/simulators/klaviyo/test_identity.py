"""Profiles are found by each identifier, and events are stored once per unique_id."""

from __future__ import annotations

from typing import Any

from tests.simulators.klaviyo.bodies import bulk, event, profile
from tests.simulators.klaviyo.sim import Sim

BULK = "/api/event-bulk-create-jobs"


async def made(sim: Sim, **attributes: Any) -> Any:
    return await (await sim.post("/api/profile-import", profile(**attributes))).json(content_type=None)


async def test_an_import_makes_then_updates_one_profile(sim: Sim) -> None:
    first = await sim.post("/api/profile-import", profile(email="Ada@Shop.io", first_name="Ada", title="Dr"))
    second = await sim.post(
        "/api/profile-import", profile(email="ada@shop.io", external_id="u1", title=None, properties={"a": 1})
    )

    assert (first.status, second.status) == (201, 200)
    shown = (await second.json(content_type=None))["data"]["attributes"]
    assert (shown["email"], shown["first_name"], shown["title"]) == ("ada@shop.io", "Ada", None)
    by_id = await made(sim, external_id="u1", phone_number="+12345678901")
    assert by_id["data"]["attributes"]["email"] == "ada@shop.io"


async def test_identifiers_of_two_profiles_are_a_409_with_the_other_one(sim: Sim) -> None:
    await made(sim, email="ada@shop.io")
    bob = await made(sim, external_id="bob")

    response = await sim.post("/api/profile-import", profile(external_id="bob", email="ada@shop.io"))

    assert response.status == 409
    error = (await response.json(content_type=None))["errors"][0]
    assert error["code"] == "duplicate_profile"
    assert error["meta"]["duplicate_profile_id"] != bob["data"]["id"]
    await sim.configure(conflict_status=400)
    assert (
        await sim.post("/api/profile-import", profile(external_id="bob", email="ada@shop.io"))
    ).status == 400


async def test_an_anonymous_visitor_becomes_the_one_who_signs_in(sim: Sim) -> None:
    await sim.post("/api/events", event(profile={"anonymous_id": "d1"}, unique_id="a"))
    await sim.post(
        "/api/events", event(profile={"email": "ada@shop.io", "anonymous_id": "d1"}, unique_id="b")
    )
    await sim.post(
        "/api/events", event(profile={"email": "bob@shop.io", "anonymous_id": "d1"}, unique_id="c")
    )

    assert [row["email"] for row in await sim.view("events")] == ["ada@shop.io", "ada@shop.io", "bob@shop.io"]


async def test_a_repeated_unique_id_is_taken_and_ignored(sim: Sim) -> None:
    for _ in range(3):
        assert (await sim.post("/api/events", event(unique_id="a"))).status == 202
    await sim.post("/api/events", event(unique_id="a", metric="Other"))
    await sim.post("/api/events", event("bob@shop.io", unique_id="a"))

    assert [row["n_received"] for row in await sim.view("events")] == [3, 1, 1]


async def test_without_a_unique_id_events_of_one_second_are_one(sim: Sim) -> None:
    for at in ("2026-03-01T10:00:00.1Z", "2026-03-01T10:00:00.9Z", "2026-03-01T10:00:01Z"):
        await sim.post("/api/events", event(time=at))

    assert [row["n_received"] for row in await sim.view("events")] == [2, 1]


async def test_a_unique_id_twice_in_one_bulk_call_refuses_it_whole(sim: Sim) -> None:
    response = await sim.post(BULK, bulk(event(unique_id="a"), event(unique_id="b"), event(unique_id="a")))

    assert response.status == 400
    assert (await response.json(content_type=None))["errors"][0]["source"]["pointer"] == (
        "/data/attributes/events-bulk-create/data/2/attributes/events/data/0/attributes/unique_id"
    )
    assert await sim.view("events") == []


async def test_a_unique_id_of_an_earlier_call_is_ignored_or_refused_by_mode(sim: Sim) -> None:
    await sim.post(BULK, bulk(event(unique_id="a")))
    assert (await sim.post(BULK, bulk(event(unique_id="a"), event(unique_id="b")))).status == 202
    await sim.configure(unique_id_mode="global")
    assert (await sim.post(BULK, bulk(event(unique_id="a"), event(unique_id="c")))).status == 400

    rows = await sim.view("events")
    assert [(row["unique_id"], row["n_received"]) for row in rows] == [("a", 2), ("b", 1)]


async def test_create_conflicts_and_patch_changes(sim: Sim) -> None:
    ada = await (await sim.post("/api/profiles", profile(email="ada@shop.io"))).json(content_type=None)
    again = await sim.post("/api/profiles", profile(email="ada@shop.io"))
    assert again.status == 409
    error = (await again.json(content_type=None))["errors"][0]
    assert error["meta"] == {"duplicate_profile_id": ada["data"]["id"]}

    body = profile(last_name="L", properties={"tags": ["a"]})
    body["data"]["id"] = ada["data"]["id"]
    body["data"]["meta"] = {"patch_properties": {"append": {"tags": "b"}, "unset": "gone"}}
    patched = await sim.call("PATCH", f"/api/profiles/{ada['data']['id']}/", body)
    assert patched.status == 200
    assert (await patched.json(content_type=None))["data"]["attributes"]["properties"] == {"tags": ["a", "b"]}
    assert (await sim.call("PATCH", "/api/profiles/01NONE", profile(title="x"))).status == 400


async def test_profiles_are_read_in_pages_by_filter(sim: Sim) -> None:
    for n in range(45):
        await made(sim, email=f"p{n:02}@shop.io", external_id=f"u{n}")

    emails: list[str] = []
    path: str | None = "/api/profiles?page[size]=20&sort=email"
    while path:
        page = await (await sim.get(path)).json(content_type=None)
        emails += [row["attributes"]["email"] for row in page["data"]]
        path = page["links"]["next"] and str(page["links"]["next"]).partition(str(sim.client.make_url("")))[2]
        path = f"/{path.lstrip('/')}" if path else None
    assert emails == [f"p{n:02}@shop.io" for n in range(45)]
    found = await sim.get('/api/profiles?filter=any(email,["p01@shop.io","P02@shop.io","no@shop.io"])')
    assert len((await found.json(content_type=None))["data"]) == 2
    found = await sim.get('/api/profiles?filter=equals(external_id,"u7")')
    assert len((await found.json(content_type=None))["data"]) == 1
    assert len((await (await sim.get("/api/profiles")).json(content_type=None))["data"]) == 20
    assert (await sim.get("/api/profiles?page[size]=101")).status == 400
    assert (await sim.get('/api/profiles?filter=equals(first_name,"x")')).status == 400
    assert (await sim.get("/api/profiles/01NONE")).status == 404


async def test_events_are_read_by_metric_time_and_profile(sim: Sim) -> None:
    for n in range(5):
        await sim.post("/api/events", event(unique_id=str(n), time=f"2026-03-0{n + 1}T10:00:00Z"))
    await sim.post("/api/events", event("bob@shop.io", metric="Other", unique_id="x"))
    metrics = (await (await sim.get("/api/metrics/")).json(content_type=None))["data"]
    metric_id = next(row["id"] for row in metrics if row["attributes"]["name"] == "Placed Order")

    since = f'filter=equals(metric_id,"{metric_id}"),greater-or-equal(datetime,2026-03-03T10:00:00%2B00:00)'
    page = await (await sim.get(f"/api/events?{since}&include=profile,metric")).json(content_type=None)

    ids = [row["attributes"]["event_properties"]["$event_id"] for row in page["data"]]
    assert ids == ["4", "3", "2"]
    assert [row["type"] for row in page["included"]] == ["profile", "metric"]
    assert (await sim.get("/api/events?page[size]=1001")).status == 400
    assert (await sim.get('/api/events?filter=equals(unique_id,"1")')).status == 400
    assert (await sim.get("/api/events?include=flows")).status == 400
