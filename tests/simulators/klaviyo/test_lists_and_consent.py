"""Lists, import jobs, consent, merges and erasures behave as Klaviyo's do."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulators.klaviyo.bodies import event, profile
from tests.simulators.klaviyo.sim import Clock, Sim

SUBSCRIBE = "/api/profile-subscription-bulk-create-jobs"
UNSUBSCRIBE = "/api/profile-subscription-bulk-delete-jobs"
IMPORT = "/api/profile-bulk-import-jobs"


async def parsed(response: Any) -> Any:
    return await response.json(content_type=None)


async def made(sim: Sim, **attributes: Any) -> str:
    return str((await parsed(await sim.post("/api/profile-import", profile(**attributes))))["data"]["id"])


async def new_list(sim: Sim, **attributes: Any) -> str:
    body = {"data": {"type": "list", "attributes": {"name": "News", **attributes}}}
    response = await sim.post("/api/lists", body)
    assert response.status == 201
    return str((await parsed(response))["data"]["id"])


def job(kind: str, consent: str, *rows: dict[str, Any], list_id: str | None = None, **extra: Any) -> Any:
    profiles = []
    for row in rows:
        asked = {"consent": consent, **{key: row.pop(key) for key in ("consented_at",) if key in row}}
        channel = {"email": {"marketing": asked}} if "email" in row else {"sms": {"marketing": asked}}
        profiles.append({"type": "profile", "attributes": {**row, "subscriptions": channel}})
    data: dict[str, Any] = {
        "type": f"profile-subscription-bulk-{kind}-job",
        "attributes": {"profiles": {"data": profiles}, **extra},
    }
    if list_id:
        data["relationships"] = {"list": {"data": {"type": "list", "id": list_id}}}
    return {"data": data}


def suppression(kind: str, *emails: str) -> Any:
    rows = [{"type": "profile", "attributes": {"email": email}} for email in emails]
    attributes = {"profiles": {"data": rows}}
    return {"data": {"type": f"profile-suppression-bulk-{kind}-job", "attributes": attributes}}


async def state(sim: Sim, email: str) -> tuple[str, list[str]]:
    rows = [row for row in await sim.view("consent") if row["email"] == email]
    return (rows[0]["consent"], rows[0]["suppressions"]) if rows else ("none", [])


async def test_membership_takes_klaviyo_ids_and_changes_no_consent(sim: Sim) -> None:
    list_id = await new_list(sim)
    ids = [await made(sim, email=f"p{n}@shop.io") for n in range(3)]
    path = f"/api/lists/{list_id}/relationships/profiles"
    body = {"data": [{"type": "profile", "id": profile_id} for profile_id in ids]}

    assert (await sim.post(path, body)).status == 204
    assert (await sim.call("DELETE", path + "/", {"data": body["data"][:1]})).status == 204
    assert (await sim.post(path, {"data": [{"type": "profile", "id": "01NONE"}]})).status == 400
    assert (await sim.post("/api/lists/XX/relationships/profiles", body)).status == 404
    shown = await parsed(await sim.get(f"/api/lists/{list_id}/profiles"))
    assert [row["attributes"]["email"] for row in shown["data"]] == ["p1@shop.io", "p2@shop.io"]
    refs = await parsed(await sim.get(path))
    assert [row["id"] for row in refs["data"]] == ids[1:]
    assert (await sim.get(f"/api/lists/{list_id}")).status == 200
    found = await parsed(await sim.get('/api/lists?filter=equals(name,"News")'))
    assert len(found["data"]) == 1
    assert await sim.view("consent") == []


async def test_an_import_job_reports_its_failed_rows(sim: Sim, clock: Clock) -> None:
    clock.at = 1_790_000_000.0
    await sim.configure(job_delay_s=5)
    list_id = await new_list(sim)
    await made(sim, email="ada@shop.io", first_name="Ada")
    await made(sim, external_id="bob")
    await sim.fault({"error_rows": [{"email": "odd@shop.io", "code": "odd", "detail": "Odd.", "late": True}]})
    rows = [
        {"email": "ada@shop.io", "first_name": None, "title": "Dr"},
        {"email": "ada@shop.io", "external_id": "bob"},
        {"email": "odd@shop.io"},
        {"email": "new@shop.io", "phone_number": "555"},
    ]
    body = {
        "data": {
            "type": "profile-bulk-import-job",
            "attributes": {"profiles": {"data": [{"type": "profile", "attributes": row} for row in rows]}},
            "relationships": {"lists": {"data": [{"type": "list", "id": list_id}]}},
        }
    }
    response = await sim.post(IMPORT, body)
    assert response.status == 202
    job_id = (await parsed(response))["data"]["id"]
    before = (await parsed(await sim.get(f"{IMPORT}/{job_id}")))["data"]["attributes"]
    clock.at += 5
    after = (await parsed(await sim.get(f"{IMPORT}/{job_id}")))["data"]["attributes"]

    assert (before["status"], before["total_count"]) == ("queued", 4)
    assert (after["status"], after["completed_count"], after["failed_count"]) == ("complete", 2, 2)
    told = (await parsed(await sim.get(f"{IMPORT}/{job_id}/import-errors?page[size]=1")))["data"]
    assert told[0]["attributes"]["source"]["pointer"] == "/data/attributes/profiles/data/1"
    ada = next(row for row in await sim.view("profiles") if row["email"] == "ada@shop.io")
    assert (ada["first_name"], ada["title"]) == ("Ada", "Dr")
    assert (await sim.view("lists"))[0]["emails"] == ["ada@shop.io", "new@shop.io"]
    bad = {"data": {**body["data"], "relationships": {"lists": {"data": [{"type": "list", "id": "XX"}]}}}}
    assert (await sim.post(IMPORT, bad)).status == 400


async def test_subscribing_lifts_suppressions_and_joins_the_list(sim: Sim) -> None:
    list_id = await new_list(sim)
    await sim.post("/api/profile-suppression-bulk-create-jobs", suppression("create", "ada@shop.io"))
    await sim.post(UNSUBSCRIBE, job("delete", "UNSUBSCRIBED", {"email": "ada@shop.io"}))
    assert await state(sim, "ada@shop.io") == ("UNSUBSCRIBED", ["UNSUBSCRIBE", "USER_SUPPRESSED"])

    reply = await sim.post(SUBSCRIBE, job("create", "SUBSCRIBED", {"email": "ada@shop.io"}, list_id=list_id))

    assert (reply.status, await reply.read()) == (202, b"")
    assert await state(sim, "ada@shop.io") == ("SUBSCRIBED", [])
    assert (await sim.view("lists"))[0]["emails"] == ["ada@shop.io"]


async def test_unsuppress_lifts_only_what_a_user_suppressed(sim: Sim) -> None:
    await sim.post("/api/profile-suppression-bulk-create-jobs", suppression("create", "ada@shop.io"))
    await sim.post(UNSUBSCRIBE, job("delete", "UNSUBSCRIBED", {"email": "ada@shop.io"}))

    response = await sim.post(
        "/api/profile-suppression-bulk-delete-jobs", suppression("delete", "ada@shop.io", "no@shop.io")
    )
    path = f"/api/profile-suppression-bulk-delete-jobs/{(await parsed(response))['data']['id']}"

    assert response.status == 202
    shown = (await parsed(await sim.get(path)))["data"]["attributes"]
    assert (shown["status"], shown["total_count"], shown["skipped_count"]) == ("complete", 2, 1)
    assert await state(sim, "ada@shop.io") == ("UNSUBSCRIBED", ["UNSUBSCRIBE"])
    assert [row["email"] for row in await sim.view("profiles")] == ["ada@shop.io"]


async def test_unsubscribing_from_a_list_is_global_for_whoever_is_not_on_it(sim: Sim) -> None:
    list_id = await new_list(sim)
    both = [{"email": "on@shop.io"}, {"email": "off@shop.io"}]
    await sim.post(SUBSCRIBE, job("create", "SUBSCRIBED", {"email": "on@shop.io"}, list_id=list_id))
    await sim.post(SUBSCRIBE, job("create", "SUBSCRIBED", {"email": "off@shop.io"}))

    await sim.post(UNSUBSCRIBE, job("delete", "UNSUBSCRIBED", *both, list_id=list_id))

    assert await state(sim, "on@shop.io") == ("SUBSCRIBED", [])
    assert await state(sim, "off@shop.io") == ("UNSUBSCRIBED", ["UNSUBSCRIBE"])
    assert (await sim.view("lists"))[0]["emails"] == []


async def test_historical_consent_has_its_own_rules(sim: Sim) -> None:
    old = {"email": "ada@shop.io", "consented_at": "2020-01-01T00:00:00Z"}
    future = {"email": "ada@shop.io", "consented_at": "2999-01-01T00:00:00Z"}

    async def status(row: dict[str, Any], historical: bool) -> int:
        body = job("create", "SUBSCRIBED", dict(row), historical_import=historical)
        return int((await sim.post(SUBSCRIBE, body)).status)

    assert await status(old, historical=False) == 400
    assert await status({"email": "ada@shop.io"}, historical=True) == 400
    assert await status(future, historical=True) == 400
    assert await status(old, historical=True) == 202
    await sim.post(UNSUBSCRIBE, job("delete", "UNSUBSCRIBED", {"email": "ada@shop.io"}))
    body = job("create", "SUBSCRIBED", dict(old), historical_import=True)
    refused = await sim.post(SUBSCRIBE, body)
    assert refused.status == 400
    assert (await parsed(refused))["errors"][0]["source"]["pointer"] == (
        "/data/attributes/profiles/data/0/attributes/subscriptions/email/marketing/consented_at"
    )
    assert (await state(sim, "ada@shop.io"))[0] == "UNSUBSCRIBED"


async def test_a_double_opt_in_list_subscribes_nobody_yet(sim: Sim) -> None:
    list_id = await new_list(sim, opt_in_process="double_opt_in")

    await sim.post(SUBSCRIBE, job("create", "SUBSCRIBED", {"email": "ada@shop.io"}, list_id=list_id))

    assert await sim.view("profiles") == []
    assert (await sim.view("lists"))[0]["pending"] == ["ada@shop.io"]


async def test_subscribe_refuses_what_it_does_not_take(sim: Sim) -> None:
    for row in (
        {"email": "ada@shop.io", "external_id": "u1"},
        {"email": "ada@shop.io", "properties": {}},
        {"phone_number": "+4915112345678"},
    ):
        assert (await sim.post(SUBSCRIBE, job("create", "SUBSCRIBED", row))).status == 400
    rows = [{"email": f"p{n}@shop.io"} for n in range(101)]
    assert (await sim.post(UNSUBSCRIBE, job("delete", "UNSUBSCRIBED", *rows))).status == 400
    assert (
        await sim.post(SUBSCRIBE, job("create", "SUBSCRIBED", {"phone_number": "+12345678901"}))
    ).status == 202


@pytest.mark.parametrize(
    ("verb", "channel", "said", "status"),
    [
        ("create", "push", {"marketing": {}, "tokens": [{"platform": "ios", "vendor": "apns"}]}, 202),
        ("create", "push", {"marketing": {}, "tokens": [{"platform": "bsd", "vendor": "apns"}]}, 400),
        ("create", "push", {"marketing": {}}, 202),
        ("delete", "push", {"marketing": {}}, 400),
        ("create", "email", {"open_tracking": {}}, 202),
        ("create", "email", {"open_tracking": {"consented_at": "2026-01-01T00:00:00Z"}}, 400),
    ],
)
async def test_channels_have_the_fields_of_the_specification(
    sim: Sim, verb: str, channel: str, said: dict[str, Any], status: int
) -> None:
    consent = "SUBSCRIBED" if verb == "create" else "UNSUBSCRIBED"
    body = job(verb, consent, {"email": "ada@shop.io"})
    for kind in said.keys() - {"tokens"}:
        said[kind] = {"consent": consent, **said[kind]}
    for token in said.get("tokens", ()):
        token["token"] = "t"
    (row,) = body["data"]["attributes"]["profiles"]["data"]
    row["attributes"]["subscriptions"] = {channel: said}

    assert (await sim.post(SUBSCRIBE if verb == "create" else UNSUBSCRIBE, body)).status == status


async def test_a_profile_shows_its_subscriptions(sim: Sim) -> None:
    await sim.post(SUBSCRIBE, job("create", "SUBSCRIBED", {"email": "ada@shop.io"}, custom_source="Till"))

    shown = await parsed(await sim.get("/api/profiles?additional-fields[profile]=subscriptions"))

    marketing = shown["data"][0]["attributes"]["subscriptions"]["email"]["marketing"]
    assert marketing["consent"] == "SUBSCRIBED"
    assert marketing["can_receive_email_marketing"] is True
    assert marketing["custom_method_detail"] == "Till"


async def test_a_merge_deletes_the_source_and_redirects_its_events(sim: Sim, clock: Clock) -> None:
    clock.at = 1_790_000_000.0
    await sim.configure(job_delay_s=5)
    target = await made(sim, email="ada@shop.io")
    source = await made(sim, external_id="u1", first_name="Ada")
    await sim.post("/api/events", event(profile={"external_id": "u1"}, unique_id="a"))
    relationships = {"profiles": {"data": [{"type": "profile", "id": source}]}}
    body = {"data": {"type": "profile-merge", "id": target, "relationships": relationships}}

    assert (await sim.post("/api/profile-merge", body)).status == 201
    assert (await sim.get(f"/api/profiles/{source}")).status == 200
    clock.at += 5
    assert (await sim.get(f"/api/profiles/{source}")).status == 404
    assert (await sim.post("/api/profile-merge", body)).status == 404
    assert [row["profile_id"] for row in await sim.view("events")] == [target]
    await sim.post("/api/events", event(profile={"external_id": "u1"}, unique_id="b"))
    assert {row["profile_id"] for row in await sim.view("events")} == {target}


async def test_an_erasure_takes_exactly_one_identifier(sim: Sim) -> None:
    await sim.post("/api/events", event("ada@shop.io"))
    await sim.post("/api/events", event("bob@shop.io"))

    def body(**attributes: str) -> Any:
        resource = {"type": "profile", "attributes": attributes}
        data = {"type": "data-privacy-deletion-job", "attributes": {"profile": {"data": resource}}}
        return {"data": data}

    path = "/api/data-privacy-deletion-jobs"
    assert (await sim.post(path, body(email="ada@shop.io", phone_number="+12345678901"))).status == 400
    assert (await sim.post(path, body(external_id="u1"))).status == 400
    assert (await sim.post(path, body(email="ada@shop.io"))).status == 202
    assert [row["email"] for row in await sim.view("profiles")] == ["bob@shop.io"]
    assert [row["email"] for row in await sim.view("events")] == ["bob@shop.io"]
    assert "data-privacy-deletion-job" in [row["type"] for row in await sim.view("jobs")]
