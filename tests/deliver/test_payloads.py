"""Odd values from Segment's message to Klaviyo: each costs itself at most, and is told."""

from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from streams.config import loads
from streams.engine.codec import Codec
from streams.engine.inbox import Batch
from streams.engine.outbox import Outbox
from streams.identify.resolve import Policy, shown
from streams.route.agent import Route
from streams.segment.envelope import Profile
from tests.deliver.fake_slot import codec
from tests.deliver.line import FREE, Line, simulator
from tests.route.sample import ORIGIN, envelope

RULES = """
accounts: {acme: {klaviyo: {api_key: k1}}}
sources: {web: {accounts: [acme]}}
rules:
  - {when: type = "identify", do: profile}
  - {when: type = "track", do: event}
"""
ACCEPTED = 1_767_225_600_000


class Registry:
    def codec(self, name: str) -> Codec:
        return codec(name)


def routed(message: dict[str, Any], time: int = ACCEPTED, config: str = RULES) -> tuple[Outbox, list[Any]]:
    """The route stage's step on one message of somebody with an address and the phone that was sent."""
    slots = SimpleNamespace(account=lambda name: 0)
    settings = loads(config, "pipeline.yaml", {})
    stage = Route(SimpleNamespace(config=settings, registry=Registry(), slots=slots))  # type: ignore[arg-type]
    phone = message.get("traits", {}).get("phone", "")
    known = {name: "" if value is None else value for name, value in envelope(message).items()}
    known |= {"time": time, "accepted_at": ACCEPTED, "email": "Ann@shop.io", "phone": str(phone)}
    seen = shown(known, Policy())  # type: ignore[arg-type]
    person = Profile(id="p1", email=seen.email, phone=seen.phone, user_id="u1", anonymous_ids=[])
    event = codec("envelope").encode(known | {"body": orjson.dumps(message)})
    value = codec("profile_event").encode(
        {"event": event, "origin": ORIGIN, "profile": person, "late": False, "merged": []}
    )
    record = SimpleNamespace(offset=5, key=b"k", value=value, timestamp=0)
    outbox = stage.step(Batch("profile.events", [record]), SimpleNamespace(partition=0))  # type: ignore[arg-type]
    assert outbox is not None
    outcomes = [codec("outcome").decode(each) for each in outbox.outcomes]
    return outbox, [(each["outcome"], each["reason"]) for each in outcomes]


async def delivered(outbox: Outbox, line: Line) -> list[tuple[str, str]]:
    """What became of the operations at the simulator, in order."""
    operations = [codec("operation").decode(v or b"") for all_ in outbox.records.values() for _, _, v in all_]
    line.put(*operations)
    await line.drain()
    last = line.world.last()
    return [last[operation["op_id"]] for operation in operations]


async def test_a_bad_phone_costs_the_phone_and_not_the_person() -> None:
    message = {"type": "identify", "traits": {"phone": "12-call-me", "firstName": "Ann"}}
    outbox, outcomes = routed(message)
    assert outcomes == [("routed", "field_ignored:traits.phone")]
    async with simulator(budgets=FREE) as sim:
        assert await delivered(outbox, Line(sim.url)) == [("delivered", "accepted")]
        (profile,) = (await sim.get("profiles"))["data"]
        found = profile.get("attributes", profile)
        assert (found["email"], found["phone_number"], found["first_name"]) == ("ann@shop.io", None, "Ann")


async def test_a_phone_that_klaviyo_would_drop_costs_the_phone_at_sending() -> None:
    """What identity let through before is checked once more against what Klaviyo takes."""
    message = {"type": "track", "event": "A", "properties": {}}
    outbox, _ = routed(message)
    (sent,) = outbox.records["klaviyo.events"]
    operation = codec("operation").decode(sent[2] or b"")
    operation["profile"]["phone"] = "+999123"
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        line.put(operation)
        await line.drain()
        assert line.world.last()[operation["op_id"]] == ("delivered", "field_ignored:phone_number")
        assert len(await sim.events()) == 1


@pytest.mark.parametrize(
    ("properties", "value", "currency", "told"),
    [
        ({"total": "27.50", "currency": "eur"}, 27.5, "EUR", None),
        ({"total": " 1e3 "}, 1000, None, None),
        ({"total": "a lot", "revenue": "3"}, 3, None, "field_ignored:properties.total"),
        ({"total": 5, "currency": "Euro"}, 5, None, "field_ignored:properties.currency"),
    ],
)
async def test_amounts_as_text_count_and_wrong_ones_are_told(
    properties: dict[str, Any], value: float, currency: str | None, told: str | None
) -> None:
    outbox, outcomes = routed({"type": "track", "event": "Order Updated", "properties": properties})
    assert outcomes == [("routed", told)]
    async with simulator(budgets=FREE) as sim:
        assert await delivered(outbox, Line(sim.url)) == [("delivered", "accepted")]
        (call,) = await sim.requests("/api/event")
    attributes = orjson.loads(call["body"])["data"]["attributes"] if isinstance(call["body"], str) else None
    attributes = attributes or call["body"]["data"]["attributes"]
    assert (attributes["value"], attributes.get("value_currency")) == (value, currency)


@pytest.mark.parametrize("time", [0, -62_135_596_800_000, 253_402_300_799_999])
async def test_an_impossible_time_is_a_dead_letter_that_shows_it(time: int) -> None:
    outbox, _ = routed({"type": "track", "event": "A", "properties": {}}, time)
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        assert [end for end, _ in await delivered(outbox, line)] == ["dead_lettered"]
        assert await sim.events() == []
    (letter,) = line.world.dead_letters
    assert letter["reason"] == "rejected"
    assert str(time) in letter["detail"]


async def test_what_was_slimmed_is_told_by_the_event_and_by_its_outcome() -> None:
    message = {"type": "track", "event": "Cart", "properties": {"lines": list(range(4001))}}
    outbox, _ = routed(message)
    async with simulator(budgets=FREE) as sim:
        ends = await delivered(outbox, Line(sim.url))
        assert ends == [("delivered", "field_ignored:properties.lines: 4001 to 500")]
        (event,) = await sim.events()
    assert '"_slimmed"' in orjson.dumps(event).decode()


async def test_all_parts_of_a_split_event_arrive_and_the_value_once() -> None:
    message = {"type": "track", "event": "Cart", "properties": {"lines": list(range(9000)), "value": 7}}
    outbox, outcomes = routed(message, config=f"payload: {{over: split}}\n{RULES}")
    assert outcomes == [("routed", None)]
    async with simulator(budgets=FREE) as sim:
        ends = await delivered(outbox, Line(sim.url))
        assert ends == [("delivered", f"field_ignored:properties.lines: part {n} of 3") for n in range(1, 4)]
        assert len(await sim.events()) == 3


async def test_what_cannot_be_made_to_fit_is_a_dead_letter_of_the_message() -> None:
    message = {"type": "track", "event": "A", "properties": {f"p{n}": n for n in range(401)}}
    outbox, outcomes = routed(message)
    assert not outbox.records
    assert outcomes == []
    (letter,) = map(codec("dead_letter").decode, outbox.dead_letters)
    assert (letter["reason"], letter["account"]) == ("rejected", "acme")
    assert letter["detail"] == "rule 2: at most 400 properties, found 401"
