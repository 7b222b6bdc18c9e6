"""What Klaviyo says of consent itself: kept without a call, and older words yield to it."""

from typing import Any

from streams.klaviyo.observations import stranger
from tests.deliver.line import FREE, Line, simulator
from tests.deliver.test_consent import at_klaviyo, consent, now, say
from tests.deliver.test_lists import calls, ends, make_list

KEPT = ("filtered", "observed")


def seen(n: int, who: int, payload: dict[str, Any], **over: Any) -> dict[str, Any]:
    return say(n, who, "observed", payload, **over)


async def test_a_farewell_at_klaviyo_refuses_what_is_older_and_lets_pass_what_is_newer() -> None:
    """Klaviyo itself would take all three: it shows nobody as unsubscribed here, and is not even asked."""
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        at = now()
        line.put(*(seen(n, n, {"status": "unsubscribed"}, time=at - 5000) for n in (1, 2)))
        line.put(seen(3, 3, {"status": "suppressed"}, time=at - 5000))
        await line.drain()
        assert not await sim.requests()
        line.put(say(11, 1, time=at - 6000), say(12, 2, time=at - 1000), say(13, 3, time=at - 6000))
        await line.drain()
        found = ends(line)
        assert found["m1"] == found["m2"] == found["m3"] == KEPT
        assert found["m11"] == found["m13"] == ("refused", "consent")
        assert await consent(sim) == {"u2@shop.io": "SUBSCRIBED"}


async def test_it_counts_per_channel() -> None:
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        at = now()
        line.put(seen(1, 1, {"status": "unsubscribed", "channels": {"sms": ["marketing"]}}, time=at - 5000))
        both = {"channels": {"sms": ["marketing"], "email": ["marketing"]}}
        row = say(2, 1, payload=both, time=at - 6000)
        row["profile"]["phone"] = "+12025550101"
        line.put(row)
        await line.drain()
        assert ends(line)["m2"] == ("delivered", "field_ignored:sms.marketing")
        assert await consent(sim) == {"u1@shop.io": "SUBSCRIBED"}
        assert await consent(sim, "sms") == {}


async def test_a_subscription_there_is_no_reason_to_subscribe_again_and_lifts_no_farewell() -> None:
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        at = now()
        line.put(say(1, 1, "unsubscribe", time=at - 9000), *(
            seen(n, n - 1, {"status": "subscribed"}, time=at - 5000) for n in (2, 3)
        ))  # fmt: skip
        await line.drain()
        line.put(*(say(10 + n, n, time=at - 9500) for n in (1, 2)))
        await line.drain()
        assert ends(line)["m11"] == ("refused", "consent")
        assert ends(line)["m12"] == ("unchanged", "same_values")
        assert not await calls(sim, "POST", "subscription-bulk-create")


async def test_a_farewell_to_a_list_is_of_that_list_and_ends_membership() -> None:
    """Its name is enough; of a list that is not there any more nothing is kept."""
    async with simulator(budgets=FREE) as sim:
        list_id = await make_list(sim)
        line = Line(sim.url)
        at = now()
        line.put(
            seen(1, 1, {"status": "unsubscribed", "list": list_id}, time=at - 5000),
            seen(2, 2, {"status": "unsubscribed", "list_name": "News"}, time=at - 5000),
            seen(3, 3, {"status": "unsubscribed", "list_name": "Gone"}, time=at - 5000),
        )
        await line.drain()
        line.put(*(say(10 + n, n, payload={"list": "News"}, time=at - 6000) for n in (1, 2, 3)))
        line.put(say(24, 1, payload={}, time=at - 6000))
        await line.drain()
        found = ends(line)
        assert [found[f"m{n}"] for n in (1, 2, 3)] == [KEPT] * 3
        assert found["m11"] == found["m12"] == ("refused", "consent")
        assert found["m13"] == found["m24"] == ("delivered", "accepted")
        line.put(say(30, 2, "list_add", {"list": "News"}, time=at - 5500))
        await line.drain()
        assert ends(line)["m30"] == ("unchanged", "superseded")
        assert not line.world.dead_letters


async def test_whom_only_klaviyo_knew_is_known_by_the_address_when_they_appear() -> None:
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        at = now()
        row = seen(1, 1, {"status": "unsubscribed"}, time=at - 5000)
        row["profile"] |= {"id": stranger("u1@shop.io", None), "user_id": None, "anonymous_ids": []}
        line.put(row)
        await line.drain()
        line.put(say(2, 1, time=at - 6000), say(3, 2, time=at - 6000))
        await line.drain()
        assert ends(line)["m2"] == ("refused", "consent")
        assert await consent(sim) == {"u2@shop.io": "SUBSCRIBED"}


async def test_one_transaction_of_several_words_of_a_person_loses_none() -> None:
    """A refusal that ends beside an observation does not write over it."""
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        at = now()
        line.put(
            say(1, 1, time=at - 9000),
            seen(2, 1, {"status": "unsubscribed"}, time=at - 5000),
            say(3, 1, time=at - 8000),
        )
        await line.drain()
        await at_klaviyo(sim, "create", "u1@shop.io")
        assert b"klaviyo" in line.world.store[b"c/p1"]
        line.put(say(4, 1, time=at - 5500))
        await line.drain()
        assert {ends(line)[f"m{n}"] for n in (1, 3, 4)} == {("refused", "consent")}
