"""The consent lane against a strict simulator: who may be mailed in the end."""

from time import time
from typing import Any

import orjson
import pytest

from streams.klaviyo.requests import iso
from tests.deliver.line import FREE, KEY, Line, Sim, operation, simulator
from tests.deliver.test_lists import calls, ends, make_list, make_profiles

HEADERS = {"Authorization": f"Klaviyo-API-Key {KEY}", "revision": "2026-07-15"}
SUBSCRIBE = "subscription-bulk-create"
UNSUBSCRIBE = "subscription-bulk-delete"
BEYOND = -62_135_600_400_000
"""An hour before the first date."""


def now() -> int:
    return int(time() * 1000)


def say(
    n: int, who: int, kind: str = "subscribe", payload: dict[str, Any] | None = None, **over: Any
) -> dict[str, Any]:
    given = {"channels": {"email": ["marketing"]}} | (payload or {})
    return operation(n, who, kind, payload=given, **over)


async def consent(sim: Sim, channel: str = "email") -> dict[str, str]:
    rows = (await sim.get("consent"))["data"]
    return {row["email"] or row["phone_number"]: row["consent"] for row in rows if row["channel"] == channel}


async def at_klaviyo(sim: Sim, verb: str, email: str, list_id: str = "", **more: Any) -> None:
    """Somebody else tells Klaviyo."""
    said = {"create": "SUBSCRIBED", "delete": "UNSUBSCRIBED"}[verb]
    marketing = {"email": {"marketing": {"consent": said}}}
    row = {"type": "profile", "attributes": {"email": email, "subscriptions": marketing}}
    data: dict[str, Any] = {
        "type": f"profile-subscription-bulk-{verb}-job",
        "attributes": {"profiles": {"data": [row]}, **more},
    }
    if list_id:
        data["relationships"] = {"list": {"data": {"type": "list", "id": list_id}}}
    url = f"{sim.url}/api/profile-subscription-bulk-{verb}-jobs"
    async with sim.session.post(url, json={"data": data}, headers=HEADERS) as reply:
        assert reply.status == 202, await reply.text()


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-23:59"])
async def test_a_time_that_no_date_can_say_costs_its_row_only(at: str) -> None:
    """What some languages write for no date, in a zone east of Greenwich."""
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        line.put(say(1, 1, payload={"consented_at": at}), say(2, 2, time=BEYOND), say(3, 3))
        await line.drain()
        assert (await consent(sim))["u3@shop.io"] == "SUBSCRIBED"


async def test_people_subscribe_and_unsubscribe_in_few_calls() -> None:
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url, timeout_s=5)
        source = {"custom_source": "checkout"}
        line.put(*(say(n, n, payload=source) for n in range(300)))
        await line.drain()
        line.put(*(say(1000 + n, n, "unsubscribe") for n in range(120)))
        await line.drain()
        found = await consent(sim)
        assert [found[f"u{n}@shop.io"] for n in range(300)] == ["UNSUBSCRIBED"] * 120 + ["SUBSCRIBED"] * 180
        assert set(ends(line).values()) == {("delivered", "accepted")}
        sent = await calls(sim, "POST", SUBSCRIBE)
        assert len(sent) <= 6
        attributes = sent[0]["body"]["data"]["attributes"]
        assert attributes["custom_source"] == "checkout"
        assert "historical_import" not in attributes
        assert len(await calls(sim, "POST", UNSUBSCRIBE)) <= 5
        assert not [key for key in line.world.store if key.startswith(b"i/")]


async def test_a_thousand_subscribe_in_one_call_and_are_asked_about_a_hundred_at_a_time() -> None:
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url, timeout_s=5, pauses={"consent": "until there is a backlog"})
        line.put(*(say(n, n) for n in range(1200)))
        async with line.life() as slot:
            assert await line.until(lambda: slot.read_up_to("klaviyo.consent") == 1200)
            line.pauses.clear()
            assert await line.until(line.all_ended)
        sent = [call["body"]["data"]["attributes"] for call in await calls(sim, "POST", SUBSCRIBE)]
        sizes = [len(attributes["profiles"]["data"]) for attributes in sent]
        assert sum(sizes) == 1200
        assert max(sizes) == 1000
        assert len(await calls(sim, "GET", "/api/profiles")) <= 12 + len(sizes)
        assert set((await consent(sim)).values()) == {"SUBSCRIBED"}


@pytest.mark.parametrize("kind", ["unsubscribe", "suppress", "unsuppress"])
async def test_of_others_a_hundred_go_in_one_call(kind: str) -> None:
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url, timeout_s=5, pauses={"consent": "until there is a backlog"})
        line.put(*(say(n, n, kind) for n in range(250)))
        async with line.life() as slot:
            assert await line.until(lambda: slot.read_up_to("klaviyo.consent") == 250)
            line.pauses.clear()
            assert await line.until(line.all_ended)
        sent = await calls(sim, "POST", "/api/profile-su")
        assert [call["status"] for call in sent] == [202] * 3
        assert {outcome for outcome, _ in ends(line).values()} == {"delivered"}


async def test_old_consent_goes_with_its_date() -> None:
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        then = now() - 3_600_000
        line.put(say(1, 1, time=then), say(2, 2, payload={"consented_at": "2024-05-06T07:08:09Z"}))
        await line.drain()
        rows = {row["email"]: row for row in (await sim.get("consent"))["data"]}
        assert rows["u2@shop.io"]["consented_at"] == "2024-05-06T07:08:09+00:00"
        assert rows["u1@shop.io"]["consented_at"][:19] == iso(then)[:19]
        sent = await calls(sim, "POST", SUBSCRIBE)
        assert all(call["body"]["data"]["attributes"]["historical_import"] for call in sent)


async def test_an_older_subscription_is_refused_whatever_the_order() -> None:
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        at = now()
        line.put(say(1, 1, time=at - 5000), say(2, 1, "unsubscribe", time=at - 4000))
        line.put(say(3, 2, "unsubscribe", time=at - 4000))
        await line.drain()
        line.put(say(4, 2, time=at - 5000), say(5, 1, time=at - 4000), say(6, 3, time=at))
        await line.drain()
        assert await consent(sim) == {
            "u1@shop.io": "UNSUBSCRIBED", "u2@shop.io": "UNSUBSCRIBED", "u3@shop.io": "SUBSCRIBED",
        }  # fmt: skip
        refused = {name for name, end in ends(line).items() if end == ("refused", "consent")}
        assert refused == {"m1", "m4", "m5"}


async def test_a_newer_subscription_goes_and_an_older_farewell_does_not_undo_it() -> None:
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        at = now()
        line.put(say(1, 1, "unsubscribe", time=at - 9000), say(2, 1, time=at - 2000))
        await line.drain()
        line.put(say(3, 1, "unsubscribe", time=at - 5000), say(4, 2, "unsubscribe", time=at - 5000))
        line.put(say(5, 2, time=at - 4000), say(6, 1, time=at - 2000))
        await line.drain()
        assert set((await consent(sim)).values()) == {"SUBSCRIBED"}
        found = ends(line)
        assert found["m3"] == found["m4"] == ("unchanged", "superseded")
        assert found["m6"] == ("unchanged", "same_values")


@pytest.mark.parametrize("known", ["read", "observed"])
async def test_what_klaviyo_knows_better_refuses_a_subscription(known: str) -> None:
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        at = now()
        await at_klaviyo(sim, "create", "u1@shop.io")
        await at_klaviyo(sim, "delete", "u1@shop.io")
        if known == "observed":
            line.put(say(9, 1, "observed", {"status": "unsubscribed", "at": iso(at)}))
            await line.drain()
            assert ends(line)["m9"] == ("filtered", "observed")
        line.put(say(1, 1, time=at - 1000), say(2, 2))
        await line.drain()
        assert ends(line)["m1"] == ("refused", "consent")
        assert await consent(sim) == {"u1@shop.io": "UNSUBSCRIBED", "u2@shop.io": "SUBSCRIBED"}
        read = await calls(sim, "GET", "/api/profiles")
        assert len(read) == 1
        assert ("u1@shop.io" in read[0]["query"]) == (known == "read")


async def test_a_suppression_closes_what_is_older_and_nothing_lifts_it_by_itself() -> None:
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        at = now()
        line.put(say(1, 1, "suppress", time=at - 5000), say(2, 2, "suppress", time=at - 5000))
        await line.drain()
        line.put(say(3, 1, time=at - 6000), say(4, 2, "unsuppress", time=at - 6000))
        await line.drain()
        line.put(say(5, 2, "unsuppress", time=at - 4000))
        await line.drain()
        found = ends(line)
        assert found["m3"] == found["m4"] == ("refused", "consent")
        rows = {row["email"]: row["suppressions"] for row in (await sim.get("consent"))["data"]}
        assert rows == {"u1@shop.io": ["USER_SUPPRESSED"]}


async def test_off_its_list_nobody_is_unsubscribed_from_everything() -> None:
    async with simulator(budgets=FREE) as sim:
        list_id = await make_list(sim)
        await at_klaviyo(sim, "create", "u1@shop.io", list_id)
        await at_klaviyo(sim, "create", "u2@shop.io")
        line = Line(sim.url)
        line.put(*(say(n, n, "unsubscribe", {"list": "News"}) for n in (1, 2)))
        await line.drain()
        assert ends(line) == {"m1": ("delivered", "accepted"), "m2": ("unchanged", "not_member")}
        assert set((await consent(sim)).values()) == {"SUBSCRIBED"}
        (found,) = (await sim.get("lists"))["data"]
        assert found["profiles"] == []


@pytest.mark.parametrize("do", [{"reset": "after"}, {"status": 503}, {"delay_s": 1.0}], ids=str)
async def test_in_doubt_klaviyo_is_asked_before_it_is_told_again(do: dict[str, Any]) -> None:
    async with simulator(budgets=FREE) as sim:
        list_id = await make_list(sim)
        await at_klaviyo(sim, "create", "u1@shop.io", list_id)
        await sim.fault({"path": "*-bulk-delete-jobs"}, do, times=1)
        await sim.fault({"path": "*-bulk-create-jobs"}, do, times=1)
        line = Line(sim.url, timeout_s=0.4)
        line.put(say(1, 1, "unsubscribe", {"list": "News"}), *(say(n, n) for n in range(2, 9)))
        await line.drain()
        found = await consent(sim)
        assert set(found.values()) == {"SUBSCRIBED"}
        assert len(found) == 8
        assert (await sim.get("lists"))["data"][0]["profiles"] == []
        assert not line.world.dead_letters


async def test_a_list_with_double_opt_in_leaves_people_pending() -> None:
    async with simulator(budgets=FREE, default_opt_in="double_opt_in") as sim:
        await make_list(sim)
        line = Line(sim.url)
        line.put(say(1, 1, payload={"list": "News"}))
        await line.drain()
        assert ends(line) == {"m1": ("delivered", "accepted")}
        (found,) = (await sim.get("lists"))["data"]
        assert found["pending"] == ["u1@shop.io"]
        assert not found["profiles"]


async def test_phones_subscribe_for_sms_and_one_bad_row_costs_one_row() -> None:
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        sms = {"channels": {"sms": ["marketing"]}}
        both = {"channels": {"sms": ["marketing"], "email": ["marketing"], "push": ["marketing"]}}
        rows = [say(n, n, payload=sms) for n in range(4)] + [say(4, 4, payload=both), say(5, 5, payload=sms)]
        phones = ["+12025550101", "+12025550102", "+31201234567", "+12025550104", "+12025550105", None]
        for row, phone in zip(rows, phones, strict=True):
            row["profile"] |= {"phone": phone} | (
                {"email": None} if phone and row["event_id"] != "m4" else {}
            )
        line.put(*rows)
        await line.drain()
        letters = {d["event_id"]: d["detail"] for d in line.world.dead_letters}
        assert set(letters) == {"m2", "m5"}
        assert "region" in letters["m2"]
        assert ends(line)["m4"] == ("delivered", "field_ignored:push.marketing")
        rows_now = (await sim.get("consent"))["data"]
        assert {row["phone_number"] for row in rows_now if row["channel"] == "sms"} == {
            "+12025550101", "+12025550102", "+12025550104", "+12025550105",
        }  # fmt: skip


async def test_backdated_consent_that_klaviyo_refuses_is_refused_not_dead() -> None:
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        pointer = "/data/attributes/profiles/data/0/attributes/subscriptions/email/marketing/consented_at"
        error = {
            "id": "1",
            "code": "invalid",
            "title": "x",
            "detail": "too old",
            "source": {"pointer": pointer},
        }
        body = {"errors": [error]}
        await sim.fault(
            {"path": "*-bulk-create-jobs"},
            {
                "status": 400,
                "body": orjson.dumps(body).decode(),
                "headers": {"content-type": "application/json"},
            },
            times=1,
        )
        line.put(*(say(n, n, time=now() - 3_600_000) for n in range(3)))
        await line.drain()
        assert sorted(ends(line).values()) == [("delivered", "accepted")] * 2 + [("refused", "consent")]
        assert not line.world.dead_letters


async def test_a_list_that_is_not_there_is_a_dead_letter_that_says_what_to_do() -> None:
    async with simulator(budgets=FREE) as sim:
        await make_profiles(sim, 2)
        line = Line(sim.url)
        line.put(say(1, 1, payload={"list": "Nowhere"}), say(2, 2))
        await line.drain()
        assert [(d["event_id"], d["reason"]) for d in line.world.dead_letters] == [("m1", "rejected")]
        assert "lists.create" in line.world.dead_letters[0]["detail"]
        assert (await sim.get("lists"))["data"] == []
        assert await consent(sim) == {"u2@shop.io": "SUBSCRIBED"}
