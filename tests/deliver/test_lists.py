"""The lists lane against a strict simulator: who is on a list in the end, and by how many calls."""

from typing import Any

import pytest

from streams.config.sections import Lists
from streams.config.sections import Lists as ListSettings
from tests.deliver.line import FREE, KEY, Line, Sim, make_profile, operation, simulator


def change(n: int, who: int, kind: str = "list_add", to: str = "News", **over: Any) -> dict[str, Any]:
    return operation(n, who, kind, payload={"list": to}, **over)


async def make_list(sim: Sim, name: str = "News") -> str:
    body = {"data": {"type": "list", "attributes": {"name": name}}}
    headers = {"Authorization": f"Klaviyo-API-Key {KEY}", "revision": "2026-07-15"}
    async with sim.session.post(f"{sim.url}/api/lists", json=body, headers=headers) as reply:
        assert reply.status == 201
        return str((await reply.json())["data"]["id"])


async def make_profiles(sim: Sim, count: int) -> None:
    rows = [{"type": "profile", "attributes": {"email": f"u{n}@shop.io"}} for n in range(count)]
    body = {"data": {"type": "profile-bulk-import-job", "attributes": {"profiles": {"data": rows}}}}
    headers = {"Authorization": f"Klaviyo-API-Key {KEY}", "revision": "2026-07-15"}
    url = f"{sim.url}/api/profile-bulk-import-jobs"
    async with sim.session.post(url, json=body, headers=headers) as reply:
        assert reply.status == 202, await reply.text()
    await sim.get("jobs")


async def members(sim: Sim, name: str = "News") -> set[str]:
    (found,) = [row for row in (await sim.get("lists"))["data"] if row["name"] == name]
    return set(found["emails"])


def ends(line: Line) -> dict[str, tuple[str, str]]:
    return {o["event_id"]: (o["outcome"], o["reason"]) for o in line.world.outcomes}


async def calls(sim: Sim, method: str, path: str) -> list[dict[str, Any]]:
    return [r for r in await sim.requests(path) if r["method"] == method]


@pytest.mark.parametrize("by", ["name", "id"])
async def test_people_whom_klaviyo_does_not_know_are_made_and_added(by: str) -> None:
    async with simulator(budgets=FREE) as sim:
        list_id = await make_list(sim)
        line = Line(sim.url)
        line.put(*(change(n, n, to="News" if by == "name" else list_id) for n in range(60)))
        await line.drain()
        assert await members(sim) == {f"u{n}@shop.io" for n in range(60)}
        assert set(ends(line).values()) == {("delivered", "accepted")}
        assert len(await calls(sim, "GET", "/api/profiles")) == 1
        assert len(await calls(sim, "POST", "profile-import")) == 60
        assert not [key for key in line.world.store if key.startswith(b"i/")]


async def test_known_people_go_by_the_thousand() -> None:
    async with simulator(budgets=FREE) as sim:
        await make_list(sim)
        await make_profiles(sim, 1200)
        line = Line(sim.url, timeout_s=5, lists=ListSettings(guard_share=1.0))
        line.put(*(change(n, n) for n in range(1200)))
        await line.drain(60)
        assert len(await members(sim)) == 1200
        line.put(*(change(3000 + n, n, "list_remove") for n in range(1100)))
        await line.drain(60)
        assert len(await members(sim)) == 100
        assert not await calls(sim, "POST", "profile-import")
        assert len(await calls(sim, "GET", "/api/profiles")) == 12
        assert len(await calls(sim, "POST", "/relationships/profiles")) <= 12
        assert len(await calls(sim, "DELETE", "/relationships/profiles")) <= 12
        asked = [call["path"] for call in await calls(sim, "GET", "/api/lists")]
        assert sum(path.rstrip("/") == "/api/lists" for path in asked) <= 2


async def test_of_opposites_that_wait_the_newest_by_event_time_counts() -> None:
    async with simulator(budgets=FREE) as sim:
        await make_list(sim)
        await make_list(sim, "Other")
        line = Line(sim.url)
        line.put(
            change(1, 1, "list_add", time=3000), change(2, 1, "list_remove", time=2000),
            change(3, 2, "list_remove", time=3000), change(4, 2, "list_add", time=2000),
            change(5, 2, "list_add", to="Other", time=1000),
        )  # fmt: skip
        await line.drain()
        assert await members(sim) == {"u1@shop.io"}
        assert await members(sim, "Other") == {"u2@shop.io"}
        assert ends(line)["m2"] == ends(line)["m4"] == ("unchanged", "superseded")
        assert ends(line)["m1"] == ends(line)["m3"] == ends(line)["m5"] == ("delivered", "accepted")


async def test_a_stale_event_never_undoes_a_newer_one_and_a_repeated_one_is_unchanged() -> None:
    async with simulator(budgets=FREE) as sim:
        await make_list(sim)
        line = Line(sim.url)
        line.put(change(1, 1, time=2000))
        await line.drain()
        line.put(change(2, 1, "list_remove", time=1000), change(3, 2, "list_remove", time=5000))
        await line.drain()
        line.put(change(4, 1, time=4000))
        await line.drain()
        line.put(change(5, 1, "list_remove", time=3000))
        await line.drain()
        assert await members(sim) == {"u1@shop.io"}
        assert ends(line)["m2"] == ends(line)["m5"] == ("unchanged", "superseded")
        assert ends(line)["m4"] == ("unchanged", "same_values")


async def test_an_event_dated_in_the_future_does_not_win_for_ever() -> None:
    async with simulator(budgets=FREE) as sim:
        await make_list(sim)
        line = Line(sim.url)
        late = change(1, 1, time=99_999_999_999_999)
        line.put(late)
        await line.drain()
        leave = change(2, 1, "list_remove", time=late["origin"]["accepted_at"] + 10)
        leave["origin"]["accepted_at"] += 10
        line.put(leave)
        await line.drain()
        assert await members(sim) == set()


async def test_an_address_is_looked_up_whatever_it_is_made_of() -> None:
    odd = ["a+b&c=d@shop.io", "o'neil#1%2B@shop.io", "Ä@shop.io", "A.B@Shop.IO"]
    async with simulator(budgets=FREE) as sim:
        await make_list(sim)
        line = Line(sim.url)
        ops = [change(n, n) for n in range(len(odd))]
        for op, email in zip(ops, odd, strict=True):
            op["profile"] |= {"email": email, "user_id": None}
        line.put(*ops)
        await line.drain()
        line.world.store.clear()
        line.put(*(op | {"op_id": f"{n}" * 32, "kind": "list_remove"} for n, op in enumerate(ops)))
        await line.drain()
        assert await members(sim) == set()
        assert len(await calls(sim, "POST", "profile-import")) == len(odd)
        assert not line.world.dead_letters


async def test_one_bad_row_costs_one_row() -> None:
    async with simulator(budgets=FREE) as sim:
        await make_list(sim)
        line = Line(sim.url)
        bad = change(3, 3)
        bad["profile"] |= {"email": "no address", "user_id": None}
        odd = change(4, 4)
        odd["profile"] |= {"email": "u1@shop.io", "user_id": None, "phone": "+1555"}
        line.put(*(change(n, n) for n in range(3)), bad, odd)
        await line.drain()
        assert await members(sim) == {f"u{n}@shop.io" for n in range(3)}
        assert [(d["event_id"], d["reason"]) for d in line.world.dead_letters] == [("m3", "rejected")]
        assert ends(line)["m4"] == ("delivered", "field_ignored:phone_number")


async def test_one_group_asks_for_a_list_however_many_wait_for_it() -> None:
    async with simulator(latency_ms=30, budgets=FREE) as sim:
        await make_list(sim)
        await make_profiles(sim, 3000)
        await sim.fault({"path": "/api/lists", "method": "GET"}, {"status": 503}, times=1)
        line = Line(sim.url, timeout_s=5)
        line.put(*(change(n, n) for n in range(3000)))
        await line.drain(60)
        assert len(await members(sim)) == 3000
        asked = [call["path"].rstrip("/") for call in await calls(sim, "GET", "/api/lists")]
        assert asked.count("/api/lists") == 2


async def test_a_list_that_klaviyo_will_not_tell_of_costs_its_rows_and_no_others() -> None:
    async with simulator(budgets=FREE) as sim:
        await make_list(sim)
        line = Line(sim.url, tries=2)
        await sim.fault({"path": "/api/lists", "method": "POST"}, {"status": 503}, rate=1.0)
        line.lists = Lists(create=True)
        line.put(*(change(n, n, to="Never") for n in range(3)), *(change(n, n) for n in range(10, 60)))
        await line.drain(60)
        assert len(await members(sim)) == 50
        assert {(d["event_id"], d["reason"]) for d in line.world.dead_letters} == {
            (f"m{n}", "keeps_failing") for n in range(3)
        }


async def test_identifiers_of_two_profiles_end_on_the_list_as_one() -> None:
    async with simulator(budgets=FREE) as sim:
        await make_list(sim)
        phone = "+12025550123"
        await make_profile(sim, email="other@shop.io", phone_number=phone)
        own = await make_profile(sim, external_id="user1")
        line = Line(sim.url)
        op = change(1, 1)
        op["profile"]["phone"] = phone
        line.put(op)
        await line.drain()
        (found,) = (await sim.get("lists"))["data"]
        assert found["profiles"] == [own]
        assert ends(line) == {"m1": ("delivered", "field_ignored:phone_number")}


async def test_a_profile_that_klaviyo_names_in_a_conflict_is_the_one_on_the_list() -> None:
    async with simulator(budgets=FREE) as sim:
        await make_list(sim)
        own = await make_profile(sim, email="old@shop.io")
        error = {"id": "1", "code": "duplicate_profile", "title": "", "detail": "There is one."}
        body = {"errors": [error | {"meta": {"duplicate_profile_id": own}}]}
        await sim.fault({"path": "/api/profile-import"}, {"status": 409, "body": body}, times=1)
        line = Line(sim.url)
        line.put(change(1, 1))
        await line.drain()
        (found,) = (await sim.get("lists"))["data"]
        assert found["profiles"] == [own]
        assert line.world.store[b"k/p1"].decode() == own
        assert ends(line) == {"m1": ("delivered", "accepted")}


async def test_a_list_deleted_at_klaviyo_stops_the_lane_which_loses_nothing() -> None:
    async with simulator(budgets=FREE) as sim:
        await make_list(sim)
        line = Line(sim.url, probe_s=0.1)
        await sim.fault({"path": "/api/lists/*"}, {"status": 404}, rate=1.0)
        line.put(*(change(n, n) for n in range(3)), operation(9))
        async with line.life():
            await line.until(lambda: bool(line.world.outcomes))
            assert [o["event_id"] for o in line.world.outcomes] == ["m9"]
            await sim.heal()
            await line.until(line.all_ended)
        assert len(await members(sim)) == 3


@pytest.mark.parametrize(
    "do", [{"status": 503}, {"reset": "after"}, {"status": 429, "headers": {"Retry-After": "1"}}], ids=str
)
async def test_no_verdict_means_again(do: dict[str, Any]) -> None:
    async with simulator(budgets=FREE) as sim:
        await make_list(sim)
        line = Line(sim.url, timeout_s=0.5)
        await sim.fault({"path": "/api/*"}, do, times=6)
        line.put(*(change(n, n) for n in range(30)))
        await line.drain()
        assert len(await members(sim)) == 30
        assert not line.world.dead_letters
