"""A number that Klaviyo refuses costs itself, visibly, and never the person."""

from __future__ import annotations

from typing import Any

import pytest

from tests.deliver.answer_cases import error
from tests.deliver.line import FREE, Line, operation, simulator
from tests.deliver.test_conflicts import update
from tests.deliver.test_consent import consent, say
from tests.deliver.test_lists import change, ends, make_list, members

PHONE = "+12025550101"
ABROAD = "+31201234567"
"""Where the simulator's account has no number to send from."""


def with_phone(op: dict[str, Any], phone: str = PHONE, **identifiers: Any) -> dict[str, Any]:
    op["profile"] |= {"phone": phone, **identifiers}
    return op


def refusal(pointer: str) -> dict[str, Any]:
    return {"status": 400, "body": error(f"{pointer}/attributes/phone_number")}


@pytest.mark.parametrize("count", [1, 60])
async def test_an_event_goes_without_it(count: int) -> None:
    async with simulator(budgets=FREE) as sim:
        profile = "/attributes/profile/data"
        row = f"/data/attributes/events-bulk-create/data/0{profile}" if count > 1 else f"/data{profile}"
        await sim.fault({"path": "/api/event*"}, refusal(row), times=1)
        line = Line(sim.url)
        line.put(*(with_phone(operation(n), f"+120255501{n:02}") for n in range(count)))
        await line.drain()
        assert len(await sim.events()) == count
        reasons = [reason for _, reason in line.world.last().values()]
        assert sorted(set(reasons)) == ["accepted", "field_ignored:phone_number"][-min(count, 2) :]
        assert reasons.count("field_ignored:phone_number") == 1
        assert not line.world.dead_letters


async def test_an_update_goes_without_it() -> None:
    async with simulator(budgets=FREE) as sim:
        await sim.fault({"path": "/api/profile-import"}, refusal("/data"), times=1)
        line = Line(sim.url)
        line.put(with_phone(update(1, first_name="Ada")))
        await line.drain()
        (profile,) = (await sim.get("profiles"))["data"]
        assert (profile["first_name"], profile["phone_number"]) == ("Ada", None)
        assert ends(line) == {"m1": ("delivered", "field_ignored:phone_number")}


async def test_whoever_is_added_to_a_list_is_made_without_it() -> None:
    async with simulator(budgets=FREE) as sim:
        await make_list(sim)
        await sim.fault({"path": "/api/profile-import"}, refusal("/data"), times=1)
        line = Line(sim.url)
        line.put(with_phone(change(1, 1)))
        await line.drain()
        assert await members(sim) == {"u1@shop.io"}
        assert ends(line) == {"m1": ("delivered", "field_ignored:phone_number")}


@pytest.mark.parametrize("double_opt_in", [False, True])
async def test_consent_to_mail_is_kept_where_text_messages_cannot_go(double_opt_in: bool) -> None:
    opt_in = "double_opt_in" if double_opt_in else "single_opt_in"
    async with simulator(budgets=FREE, default_opt_in=opt_in) as sim:
        list_id = await make_list(sim)
        line = Line(sim.url)
        both = {"channels": {"email": ["marketing"], "sms": ["marketing"]}, "list": list_id}
        line.put(with_phone(say(1, 1, payload=both), ABROAD), with_phone(say(2, 2, payload=both)))
        await line.drain()
        assert not line.world.dead_letters
        assert ends(line)["m1"] == ("delivered", "field_ignored:sms.marketing,phone_number")
        assert ends(line)["m2"] == ("delivered", "accepted")
        (found,) = (await sim.get("lists"))["data"]
        joined = found["pending"] if double_opt_in else found["emails"]
        assert sorted(joined) == ["u1@shop.io", "u2@shop.io"]
        assert ("u1@shop.io" in await consent(sim)) != double_opt_in


async def test_whoever_has_nothing_else_is_a_dead_letter() -> None:
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        sms = {"channels": {"sms": ["marketing"]}}
        line.put(with_phone(say(1, 1, payload=sms), ABROAD, email=None))
        await line.drain()
        (letter,) = line.world.dead_letters
        assert letter["reason"] == "rejected"
        assert "region" in letter["detail"]
