"""Rows that other pipelines lose without a word: here each ends, and says how."""

from __future__ import annotations

from typing import Any

import pytest

from streams.config.sections import Lists
from streams.klaviyo.requests import event_row, iso
from streams.route.engagement import engagement_call
from streams.segment.times import epoch_ms
from tests.deliver.line import FREE, Line, operation, simulator
from tests.deliver.test_conflicts import update
from tests.deliver.test_consent import at_klaviyo, say
from tests.deliver.test_importing import JOBS, paced, profiles
from tests.deliver.test_lists import calls, change, ends, make_list, make_profiles, members
from tests.route.sample import PETER
from tests.route.test_engagement import BACK, config, engagement

SAME = 1_767_225_600_000


def bad(*numbers: int, **more: Any) -> dict[str, Any]:
    return {
        "error_rows": [{"email": f"u{n}@shop.io", "code": "invalid", "detail": "odd"} | more for n in numbers]
    }


def dead(line: Line) -> set[str]:
    return {letter["event_id"] for letter in line.world.dead_letters}


async def test_one_bad_profile_costs_one_profile() -> None:
    """Elsewhere one bad record takes down every valid profile beside it."""
    async with simulator(budgets=FREE) as sim:
        await sim.fault({"path": "/api/profile*"}, bad(7))
        line = paced(sim.url)
        line.put(*(update(n, n, first_name="A") for n in range(200)))
        await line.drain()
        assert dead(line) == {"m7"}
        assert set(await profiles(sim)) == {f"u{n}@shop.io" for n in range(200) if n != 7}


async def test_what_fails_for_good_is_not_tried_for_ever() -> None:
    """Elsewhere permanent errors fill the slots of batches and push valid events out."""
    async with simulator(budgets=FREE) as sim:
        await sim.fault({"path": "/api/event*"}, bad(3, 70))
        line = Line(sim.url)
        line.put(*(operation(n) for n in range(120)))
        await line.drain()
        assert dead(line) == {"m3", "m70"}
        assert len(await sim.events()) == 118
        said = [str(request["body"]) for request in await sim.requests("/api/event")]
        assert max(sum(f"u{n}@shop.io" in body for body in said) for n in (3, 70)) <= 3


async def test_each_row_of_a_refused_call_has_its_own_end() -> None:
    """Elsewhere a failed chunk of thousands marks one row as failed, and the others as done."""
    async with simulator(budgets=FREE) as sim:
        await sim.fault({"path": "/api/event*"}, bad(*range(0, 100, 10)))
        line = Line(sim.url)
        line.put(*(operation(n) for n in range(100)))
        await line.drain()
        assert dead(line) == {f"m{n}" for n in range(0, 100, 10)}
        assert len(line.world.last()) == 100
        assert all("odd" in letter["detail"] for letter in line.world.dead_letters)


@pytest.mark.parametrize("count", [1, 60])
async def test_events_of_one_person_and_second_are_all_kept(count: int) -> None:
    """Elsewhere events without a unique id are one event for each person, metric and second."""
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        for n in range(count):
            line.put(operation(n, 1, time=SAME))
            if count == 1:
                line.put(operation(n + 1, 1, time=SAME))
        await line.drain()
        assert len(await sim.events()) == max(2, count)


async def test_a_202_is_not_taken_for_delivered() -> None:
    """Elsewhere five success responses were given for data that never appeared, and jobs are never polled."""
    async with simulator(budgets=FREE) as sim:
        await sim.fault({"path": JOBS, "method": "POST"}, bad(150, late=True))
        line = paced(sim.url)
        line.put(*(update(n, n, first_name="A") for n in range(200)))
        await line.drain()
        assert "u150@shop.io" not in await profiles(sim)
        assert dead(line) == {"m150"}


@pytest.mark.parametrize("text", ["2026-01-01T00:00:00.123456789Z", "2026-01-01T01:00:00.1234567+01:00"])
async def test_a_time_of_any_precision_is_taken(text: str) -> None:
    """Elsewhere events with more than three fractional digits were refused."""
    at = epoch_ms(text)
    assert at == SAME + 123
    assert iso(at) == "2026-01-01T00:00:00.123+00:00"
    row = event_row({"email": "a@shop.io"}, {"metric": "Viewed"}, "op", at, backfill=False)
    assert b'"time":"2026-01-01T00:00:00.123+00:00"' in row.event


async def test_removing_who_is_not_there_is_no_error_and_makes_no_blank_list() -> None:
    """Elsewhere an empty removal set failed the audience, and blank lists were made."""
    async with simulator(budgets=FREE) as sim:
        list_id = await make_list(sim)
        line = Line(sim.url, lists=Lists(create=True))
        line.put(*(change(n, n, "list_remove", to=list_id) for n in range(3)))
        line.put(change(9, 9, to=""), change(10, 10, to="  "))
        await line.drain()
        assert dead(line) == {"m9", "m10"}
        assert {ends(line)[f"m{n}"][0] for n in range(3)} <= {"unchanged", "delivered"}
        assert [row["name"] for row in (await sim.get("lists"))["data"]] == ["News"]
        assert all(call["body"]["data"] for call in await calls(sim, "DELETE", "/relationships/profiles"))


async def test_an_identifier_that_klaviyo_refuses_costs_itself_and_says_so() -> None:
    """Elsewhere each kind of bad address or id was found by failed deliveries, one at a time."""
    async with simulator(budgets=FREE) as sim:
        await make_list(sim)
        line = Line(sim.url)
        rows = [change(n, n) for n in range(6)]
        rows[1]["profile"] |= {"email": "not an address"}
        rows[2]["profile"] |= {"user_id": "x" * 256}
        rows[3]["profile"] |= {"email": "not an address", "user_id": None}
        rows[4]["profile"] |= {"email": "o'brien@bücher.example"}
        line.put(*rows)
        await line.drain()
        assert dead(line) == {"m3"}
        assert ends(line)["m1"][1] == "field_ignored:email"
        assert ends(line)["m2"][1] == "field_ignored:external_id"
        assert {"u0@shop.io", "u2@shop.io", "u5@shop.io"} <= await members(sim)


async def test_more_than_a_page_of_people_leaves_a_list() -> None:
    """Elsewhere 20 of up to 1,000 people are removed, and all are reported as removed."""
    async with simulator(budgets=FREE) as sim:
        await make_list(sim)
        await make_profiles(sim, 250)
        line = Line(sim.url, timeout_s=5, lists=Lists(guard_share=1.0))
        line.put(*(change(n, n) for n in range(250)))
        await line.drain()
        assert len(await members(sim)) == 250
        line.put(*(change(1000 + n, n, "list_remove") for n in range(250)))
        await line.drain()
        assert await members(sim) == set()


async def test_people_with_a_bad_phone_are_unsubscribed_or_told_of() -> None:
    """Elsewhere they are dropped without a status, and a batch of only such rows is a success."""
    async with simulator(budgets=FREE) as sim:
        for n in range(2):
            await at_klaviyo(sim, "create", f"u{n}@shop.io")
        line = Line(sim.url)
        both = {"channels": {"email": ["marketing"], "sms": ["marketing"]}}
        sms = {"channels": {"sms": ["marketing"]}}
        rows = [say(n, n, "unsubscribe", both) for n in range(2)]
        rows += [say(n, n, "unsubscribe", sms) for n in range(2, 4)]
        for row in rows:
            row["profile"] |= {"phone": "+1555"}
        line.put(*rows)
        await line.drain()
        found = {row["email"]: row["consent"] for row in (await sim.get("consent"))["data"]}
        assert (found["u0@shop.io"], found["u1@shop.io"]) == ("UNSUBSCRIBED", "UNSUBSCRIBED")
        assert dead(line) == {"m2", "m3"}
        assert {ends(line)[f"m{n}"] for n in range(2)} != {("delivered", "accepted")}


async def test_every_page_of_a_jobs_errors_counts() -> None:
    """Elsewhere the first page of 20 is read, and the rest of the failures count as delivered."""
    async with simulator(budgets=FREE) as sim:
        wrong = range(100, 260)
        await sim.fault({"path": JOBS, "method": "POST"}, bad(*wrong, late=True))
        line = paced(sim.url)
        line.put(*(update(n, n, first_name="A") for n in range(300)))
        await line.drain()
        there = {f"m{n}" for n in range(300) if f"u{n}@shop.io" in await profiles(sim)}
        delivered = {event for event, (outcome, _) in ends(line).items() if outcome == "delivered"}
        assert delivered == there
        assert dead(line) == {f"m{n}" for n in range(300)} - there
        assert len(dead(line)) > 100


@pytest.mark.parametrize("topic", ["sent_sms", "clicked_sms", "opened_push", "something_of_next_year"])
def test_engagement_of_any_channel_goes_back_or_is_counted(topic: str) -> None:
    """Elsewhere text messages' events are missing, and a list arrives to four fifths."""
    every = config("engagement: {forward: 'event:klaviyo.*'}")
    assert not isinstance(engagement_call(every, engagement(topic), PETER, BACK), str)
    assert engagement_call(config(), engagement(topic), PETER, BACK) == f"not_forwarded:event:klaviyo.{topic}"
