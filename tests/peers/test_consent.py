"""Who may be mailed, where other pipelines subscribe people who did not ask, or forget that they left."""

from __future__ import annotations

import pytest

from tests.deliver.line import FREE, Line, simulator
from tests.deliver.test_consent import SUBSCRIBE, at_klaviyo, consent, now, say
from tests.deliver.test_lists import calls, change, ends, make_list, members
from tests.route.sample import EVERYTHING, route, router

TRAITS = {"email": "peter@example.com", "subscribe": True, "subscribed": True, "consent": ["email"]}


@pytest.mark.parametrize(
    "message",
    [
        {"type": "identify", "traits": TRAITS},
        {"type": "group", "groupId": "LIST1", "traits": TRAITS},
        {"type": "track", "event": "User Subscribed", "properties": TRAITS},
    ],
    ids=["identify", "group", "track"],
)
def test_nobody_is_subscribed_unless_a_rule_says_so(message: dict[str, object]) -> None:
    """Elsewhere people were subscribed without consent, and rows of a warehouse are by default."""
    kinds = {operation["kind"] for _, _, operation in route(EVERYTHING, message).operations}
    assert kinds <= {"profile", "event"}
    rule = "  - {when: 'event = \"Agreed\"', do: subscribe, channels: [email]}"
    agreed = route(router(rule), {"type": "track", "event": "Agreed"})
    assert [operation["kind"] for _, _, operation in agreed.operations] == ["subscribe"]
    assert not list(route(router(rule), message).operations)


@pytest.mark.parametrize("to_list", [False, True], ids=["from all", "from a list"])
async def test_whoever_leaves_is_unsubscribed(to_list: bool) -> None:
    """Elsewhere there was no unsubscribe for years."""
    async with simulator(budgets=FREE) as sim:
        list_id = await make_list(sim)
        target = {"list": list_id} if to_list else {}
        line = Line(sim.url)
        line.put(say(1, 1, payload=target))
        await line.drain()
        line.put(say(2, 1, "unsubscribe", payload=target))
        await line.drain()
        assert ends(line)["m2"][0] == "delivered"
        assert await members(sim) == set()
        if not to_list:
            assert await consent(sim) == {"u1@shop.io": "UNSUBSCRIBED"}


async def test_old_consent_sends_no_confirmation_mail() -> None:
    """Elsewhere historical_import is missing or ignored, and confirmations go out to old customers."""
    async with simulator(budgets=FREE, default_opt_in="double_opt_in") as sim:
        line = Line(sim.url)
        then = "2024-05-06T07:08:09Z"
        line.put(*(say(n, n, payload={"consented_at": then}) for n in range(30)))
        await line.drain()
        assert set((await consent(sim)).values()) == {"SUBSCRIBED"}
        sent = [call["body"]["data"]["attributes"] for call in await calls(sim, "POST", SUBSCRIBE)]
        assert all(attributes["historical_import"] for attributes in sent)
        rows = (await sim.get("consent"))["data"]
        assert {row["consented_at"] for row in rows} == {"2024-05-06T07:08:09+00:00"}


async def test_being_on_a_list_is_no_consent() -> None:
    """Elsewhere membership is taken for consent; who was suppressed must stay so when added."""
    async with simulator(budgets=FREE) as sim:
        await make_list(sim)
        await at_klaviyo(sim, "delete", "u1@shop.io")
        line = Line(sim.url)
        line.put(change(1, 1), change(2, 2))
        await line.drain()
        assert await members(sim) == {"u1@shop.io", "u2@shop.io"}
        assert (await consent(sim))["u1@shop.io"] == "UNSUBSCRIBED"
        assert "SUBSCRIBED" not in (await consent(sim)).values()
        assert not await calls(sim, "POST", SUBSCRIBE)


async def test_leaving_one_channel_leaves_the_others_alone() -> None:
    """Elsewhere an unsubscribe and a resubscribe lose the other channels."""
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        both = {"channels": {"email": ["marketing"], "sms": ["marketing"]}}
        at = now()
        words = [
            say(1, 1, payload=both, time=at - 3000),
            say(2, 1, "unsubscribe", time=at - 2000),
            say(3, 1, time=at - 1000),
        ]
        for word in words:
            word["profile"] |= {"phone": "+12025550101"}
            line.put(word)
            await line.drain()
        assert set((await consent(sim, "sms")).values()) == {"SUBSCRIBED"}
        line.put(say(4, 1, "unsubscribe"))
        await line.drain()
        assert set((await consent(sim, "sms")).values()) == {"SUBSCRIBED"}
        assert set((await consent(sim)).values()) == {"UNSUBSCRIBED"}


async def test_klaviyo_is_asked_before_it_is_told() -> None:
    """Elsewhere an unsubscribe off a list is one from everything, and a subscribe lifts a farewell."""
    async with simulator(budgets=FREE) as sim:
        list_id = await make_list(sim)
        line = Line(sim.url)
        line.put(say(1, 1))
        await line.drain()
        line.put(say(2, 1, "unsubscribe", payload={"list": list_id}))
        await line.drain()
        assert await consent(sim) == {"u1@shop.io": "SUBSCRIBED"}
        agreed = now() - 60_000
        await at_klaviyo(sim, "delete", "u2@shop.io")
        line.put(say(3, 2, time=agreed))
        await line.drain()
        assert (await consent(sim))["u2@shop.io"] == "UNSUBSCRIBED"
        assert ends(line)["m3"] == ("refused", "consent")
