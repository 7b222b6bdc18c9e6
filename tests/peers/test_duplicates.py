"""What is recorded twice elsewhere: events after a retry, people after a login, and echoes."""

from __future__ import annotations

import pytest

from streams.klaviyo.requests import identifiers
from streams.route.engagement import engagement_call
from streams.route.rules import compile_rules
from streams.segment.envelope import Profile
from tests.deliver.line import FREE, Line, operation, simulator
from tests.deliver.test_conflicts import update
from tests.identify.world import World
from tests.route.sample import EVERYTHING, ORIGIN, PETER, envelope, payloads, route
from tests.route.test_engagement import BACK, call, config, engagement

ORDER = {
    "type": "track",
    "event": "Order Completed",
    "properties": {"order_id": "o1", "products": [{"product_id": n, "price": 5} for n in range(3)]},
}


@pytest.mark.parametrize("reset", ["before", "after"])
async def test_an_orders_products_are_recorded_once_however_often_they_are_sent(reset: str) -> None:
    """Elsewhere each product gets a new random id on every attempt, so a retry doubles them."""
    routed, again = route(EVERYTHING, ORDER), route(EVERYTHING, ORDER)
    ids = [each["op_id"] for _, _, each in routed.operations]
    assert ids == [each["op_id"] for _, _, each in again.operations]
    assert [each["metric"] for each in payloads(routed)].count("Ordered Product") == 3
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url, timeout_s=5)
        await sim.fault({"path": "/api/event*"}, {"reset": reset}, times=3)
        line.put(*(operation(n, 1, op_id=each) for n, each in enumerate(ids)))
        await line.drain()
        line.put(*(operation(n, 1, op_id=each) for n, each in enumerate(ids)))
        await line.drain()
        assert sorted(event["unique_id"] for event in await sim.events()) == sorted(ids)


async def test_every_event_has_an_id_of_its_own_derived_from_what_happened() -> None:
    """Elsewhere no unique id was sent at all for years."""
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        line.put(*(operation(n, n % 5) for n in range(80)))
        await line.drain()
        assert {event["unique_id"] for event in await sim.events()} == {
            operation(n)["op_id"] for n in range(80)
        }


async def test_a_login_and_a_new_address_make_no_second_profile() -> None:
    """Elsewhere the anonymous id becomes the external id, and a second profile appears on login."""
    visitor: Profile = {**PETER, "user_id": None, "email": None, "phone": None, "anonymous_ids": ["a1"]}
    assert identifiers(visitor) == {"anonymous_id": "a1"}
    world = World()
    world.sees(anonymous_id="a1", time=1)
    before = world.sees(user_id="u1", anonymous_id="a1", email="old@shop.example.com", time=2)
    world.sees(type="identify", user_id="u1", email="new@shop.example.com", time=3)
    after = world.sees(email="new@shop.example.com", time=4)
    assert before is not None
    assert after is not None
    assert (after.id, after.email) == (before.id, "new@shop.example.com")
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        first, moved = update(1, 1, first_name="A"), update(2, 1, first_name="B")
        moved["profile"] |= {"email": "new@shop.io"}
        event = operation(3, 1)
        event["profile"] |= {"email": "new@shop.io"}
        line.put(first)
        await line.drain()
        line.put(moved)
        await line.drain()
        line.put(event)
        await line.drain()
        (profile,) = (await sim.get("profiles"))["data"]
        assert (profile["email"], profile["first_name"]) == ("new@shop.io", "B")


def test_what_went_to_segment_does_not_come_back_as_somebody_new() -> None:
    """Elsewhere a two-way sync makes duplicates that nobody can reconcile."""
    back = call(engagement_call(config(), engagement("opened_email"), PETER, BACK))
    assert back["userId"] == PETER["user_id"]
    routed = compile_rules(config()).route(back, envelope(back), PETER, ORIGIN, False)
    assert (routed.filtered, list(routed.operations)) == ("loop", [])
