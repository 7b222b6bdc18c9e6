"""Lists that ask for a confirmation: their call has no id, so what is in doubt is read back, not repeated."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from tests.deliver.fake_slot import Fuse
from tests.deliver.line import FREE, Line, Sim, simulator
from tests.deliver.test_consent import SUBSCRIBE, at_klaviyo, consent, now, say
from tests.deliver.test_lists import calls, ends, make_list

NEWS = {"list": "News"}
DOUBLE: dict[str, Any] = {"budgets": FREE, "default_opt_in": "double_opt_in"}


async def asked(sim: Sim) -> Counter[str]:
    """How often Klaviyo took a call that makes it send a person a confirmation."""
    taken = [call for call in await calls(sim, "POST", SUBSCRIBE) if call["recorded"]]
    rows = [row for call in taken for row in call["body"]["data"]["attributes"]["profiles"]["data"]]
    return Counter(row["attributes"]["email"] for row in rows)


@pytest.mark.parametrize("do", [{"reset": "after"}, {"delay_s": 1.0}], ids=str)
async def test_what_may_have_been_taken_is_not_repeated_and_not_lost_silently(do: dict[str, Any]) -> None:
    async with simulator(**DOUBLE) as sim:
        await make_list(sim)
        await sim.fault({"path": "*-bulk-create-jobs"}, do, times=1)
        line = Line(sim.url, timeout_s=0.4)
        line.put(*(say(n, n, payload=NEWS) for n in range(5)))
        await line.drain()
        assert set((await asked(sim)).values()) <= {1}
        assert {(d["event_id"], d["reason"]) for d in line.world.dead_letters} == {
            (f"m{n}", "unconfirmed") for n in range(5)
        }
        assert not [key for key in line.world.store if key.startswith(b"d/")]


async def test_whoever_has_confirmed_meanwhile_is_seen_on_the_list() -> None:
    async with simulator(**DOUBLE) as sim:
        list_id = await make_list(sim)
        await sim.fault({"path": "*-bulk-create-jobs"}, {"reset": "after"}, times=1)
        line = Line(sim.url)
        line.put(*(say(n, n, payload=NEWS) for n in (1, 2)))
        async with line.life():
            async with asyncio.timeout(10):
                while not await asked(sim):
                    await asyncio.sleep(0.005)
            at = "2026-01-01T00:00:00Z"
            await confirm(sim, "u1@shop.io", list_id, at)
            assert await line.until(line.all_ended)
        assert ends(line)["m1"] == ("delivered", "confirmed")
        assert [d["event_id"] for d in line.world.dead_letters] == ["m2"]
        assert (await asked(sim))["u2@shop.io"] == 1


async def confirm(sim: Sim, email: str, list_id: str, at: str) -> None:
    """The person follows the link of the mail: to the simulator, an import of a consent given."""
    said = {"email": {"marketing": {"consent": "SUBSCRIBED", "consented_at": at}}}
    row = {"type": "profile", "attributes": {"email": email, "subscriptions": said}}
    await at_klaviyo(sim, "create", email, list_id, historical_import=True, profiles={"data": [row]})


async def test_whoever_is_only_late_is_still_asked_for_a_confirmation() -> None:
    """What came by backfill or says when consent was given is imported with its date, which asks nobody."""
    async with simulator(**DOUBLE) as sim:
        await make_list(sim)
        line = Line(sim.url)
        before = now() - 3_600_000
        dated = NEWS | {"consented_at": "2024-02-03T04:05:06Z"}
        line.put(say(1, 1, payload=NEWS, time=before), say(2, 2, payload=dated))
        line.put(say(3, 3, payload=NEWS, time=before), topic="klaviyo.consent.backfill")
        await line.drain()
        (found,) = (await sim.get("lists"))["data"]
        assert len(found["pending"]) == 1
        subscribed = {who for who, said in (await consent(sim)).items() if said == "SUBSCRIBED"}
        assert subscribed == {"u2@shop.io", "u3@shop.io"}


@pytest.mark.parametrize("do", [{"status": 503}, {"status": 429, "headers": {"retry-after": "1"}}], ids=str)
async def test_what_was_not_taken_is_repeated(do: dict[str, Any]) -> None:
    async with simulator(**DOUBLE) as sim:
        await make_list(sim)
        await sim.fault({"path": "*-bulk-create-jobs"}, do, times=2)
        line = Line(sim.url)
        line.put(*(say(n, n, payload=NEWS) for n in range(3)))
        await line.drain()
        assert set((await asked(sim)).values()) == {1}
        assert set(ends(line).values()) == {("delivered", "accepted")}


async def test_consent_given_before_asks_for_no_confirmation_and_may_be_repeated() -> None:
    async with simulator(**DOUBLE) as sim:
        list_id = await make_list(sim)
        await sim.fault({"path": "*-bulk-create-jobs"}, {"reset": "after"}, times=1)
        line = Line(sim.url)
        line.put(say(1, 1, payload=NEWS, time=now() - 3_600_000), topic="klaviyo.consent.backfill")
        await line.drain()
        (found,) = (await sim.get("lists"))["data"]
        assert found["id"] == list_id
        assert len(found["profiles"]) == 1
        assert not found["pending"]
        assert not line.world.dead_letters


async def one_kill(at: int) -> bool:
    async with simulator(**DOUBLE) as sim:
        await make_list(sim)
        line = Line(sim.url, timeout_s=0.3)
        line.put(*(say(n, n, payload=NEWS) for n in range(4)))
        async with line.life(Fuse(at)):
            survived = await line.until(line.all_ended)
        await line.drain()
        times = await asked(sim)
        letters = {d["event_id"] for d in line.world.dead_letters}
        assert set(times.values()) <= {1}
        assert set(line.world.last()) == {op["delivery_id"] for op in line.world.outcomes}
        assert letters | {name for name, end in ends(line).items() if end[0] == "delivered"} == {
            f"m{n}" for n in range(4)
        }
        assert len(times) + len(letters) >= 4
        return not survived


async def test_nobody_is_asked_twice_whenever_the_process_dies() -> None:
    killed = await asyncio.gather(*(one_kill(at) for at in range(1, 12)))
    assert sum(killed) > 5
