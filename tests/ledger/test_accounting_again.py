"""A record that goes through once more, redriven or replayed, still counts once."""

from typing import Any

from streams.ledger.accounting import HOUR_MS, Accounts
from streams.ledger.book import State
from streams.ledger.choice import Fate
from tests.ledger.accounts import NOW, accounts, states, tally
from tests.ledger.said import origin, refuses, says


def test_a_redriven_delivery_waits_again_and_then_counts_by_its_newest_outcome() -> None:
    made = accounts(1)
    made.dead_letter(refuses("deliver", 0, at=2_000, account="acme", lane="events", delivery_id="d"))
    made.outcome(says("route", 0, "routed", deliveries=["d"]))
    made.outcome(says("deliver", 0, "dead_lettered", "rejected", at=2_000, delivery_id="d"))
    assert states(made) == {State.DEAD_LETTERED: 1}
    made.opened(origin(0, replay="r"), "d")
    assert states(made) == {State.IN_FLIGHT: 1}
    made.close_all()
    made.outcome(says("deliver", 0, "delivered", "accepted", at=3_000, delivery_id="d", replay="r"))
    assert states(made) == {State.DELIVERED: 1}


def test_a_redriven_record_waits_again_and_then_counts_by_its_newest_outcome() -> None:
    made = accounts(1)
    made.dead_letter(refuses("identify", 0))
    assert states(made) == {State.DEAD_LETTERED: 1}
    made.opened(origin(0, replay="r"))
    assert states(made) == {State.IN_FLIGHT: 1}
    made.close_all()
    made.outcome(says("route", 0, "filtered", "no_rule", at=3_000, replay="r"))
    assert states(made) == {State.FILTERED: 1}


def test_a_redrive_that_is_refused_again_counts_as_dead_lettered() -> None:
    made = accounts(1)
    made.dead_letter(refuses("deliver", 0, at=2_000, account="acme", lane="events", delivery_id="d"))
    made.dead_letter(refuses("deliver", 0, at=4_000, account="acme", delivery_id="d", replay="r"))
    made.outcome(says("route", 0, "routed", deliveries=["d"]))
    made.outcome(says("deliver", 0, "dead_lettered", "rejected", at=4_000, delivery_id="d", replay="r"))
    assert states(made) == {State.DEAD_LETTERED: 1}


def test_what_the_gateway_refused_counts_as_its_own_record_once_it_was_redriven() -> None:
    made = accounts(0)
    made.dead_letter(refuses("gateway", -1, partition=-1), (2, 7))
    made.dead_letter(refuses("gateway", -1, partition=-1), (2, 8))
    made.looked({("events", 0): range(0)})
    assert made.tally(NOW, {("events", 0): 0}).accepted == {"events": 2}
    assert made.tally(NOW, {("events", 0): 0}, lambda place: place == (2, 7)).accepted == {"events": 1}


def test_a_refused_record_that_entered_anew_counts_as_the_duplicate_of_that() -> None:
    made = accounts(1)
    made.dead_letter(refuses("dedupe", 0))
    made.outcome(says("dedupe", 0, "duplicate", "redriven", at=3_000, replay="r"))
    assert states(made) == {State.DUPLICATE: 1}


def replayed(became: str, **more: Any) -> dict[str, Any]:
    return says(more.pop("stage", "route"), 0, became, replay="r", at=5_000, **more)


def test_what_was_delivered_stays_so_when_a_replay_finds_nothing_to_do() -> None:
    made = accounts(1)
    made.outcome(says("route", 0, "routed", deliveries=["a"]))
    made.outcome(says("deliver", 0, "delivered", "confirmed", delivery_id="a"))
    made.outcome(replayed("routed", deliveries=["a"]))
    made.outcome(replayed("duplicate", stage="deliver", reason="sent_before", delivery_id="a"))
    found = tally(made)
    assert (found.states["events"], found.deliveries) == ({State.DELIVERED: 1}, {"confirmed": 1})


def test_what_was_delivered_stays_so_when_no_rule_wants_it_any_more() -> None:
    made = accounts(1)
    made.outcome(says("route", 0, "routed", deliveries=["a"]))
    made.outcome(says("deliver", 0, "delivered", "accepted", delivery_id="a"))
    made.outcome(replayed("filtered", reason="no_rule"))
    found = tally(made)
    assert (found.states["events"], found.deliveries) == ({State.DELIVERED: 1}, {"accepted": 1})


def test_a_replay_that_was_heard_before_the_first_route_still_knows_what_that_delivered() -> None:
    made = accounts(1)
    made.outcome(replayed("routed", deliveries=["b"]))
    made.outcome(says("route", 0, "routed", deliveries=["a"]))
    made.outcome(says("deliver", 0, "delivered", "accepted", delivery_id="a"))
    made.outcome(replayed("filtered", stage="deliver", delivery_id="b"))
    assert states(made) == {State.DELIVERED: 1}


def test_a_filtered_record_that_waits_once_more_is_in_flight_until_its_new_outcome() -> None:
    made = accounts(1)
    made.outcome(says("route", 0, "filtered", "no_rule"))
    made.opened(origin(0, replay="r"))
    assert states(made) == {State.IN_FLIGHT: 1}
    made.close_all()
    made.outcome(replayed("routed", deliveries=["a"]))
    made.opened(origin(0, replay="r"), "a", "acme")
    assert states(made) == {State.IN_FLIGHT: 1}
    made.close_all()
    made.outcome(replayed("delivered", stage="deliver", reason="accepted", delivery_id="a"))
    assert states(made) == {State.DELIVERED: 1}


def test_fates_tell_why_and_whether_rules_made_deliveries() -> None:
    made = accounts(3)
    made.outcome(says("route", 0, "filtered", "no_rule"))
    made.outcome(says("dedupe", 1, "duplicate", "seen_before"))
    made.outcome(says("route", 2, "routed", deliveries=["a"]))
    made.outcome(says("deliver", 2, "delivered", "accepted", delivery_id="a", account="acme"))
    found = made.fates(NOW, {("events", 0): 3})
    assert [found.find(("events", 0), n) for n in range(4)] == [
        Fate(State.FILTERED, "no_rule"),
        Fate(State.DUPLICATE, "seen_before"),
        Fate(State.DELIVERED, routed=True),
        None,
    ]
    assert found.find(("events", 1), 0) is None


def test_judged_by_one_account_what_only_others_got_is_filtered() -> None:
    made = Accounts(hold_ms=HOUR_MS, account="other")
    made.grow("events", 0, 0, 3)
    for offset in range(3):
        made.outcome(says("route", offset, "routed", deliveries=["a", "b"][: 2 - offset % 2]))
        made.outcome(says("deliver", offset, "delivered", "accepted", delivery_id="a", account="acme"))
    made.outcome(says("deliver", 0, "delivered", "accepted", delivery_id="b", account="other"))
    made.opened(origin(2), "b", "other")
    found = made.fates(NOW, {("events", 0): 3})
    assert [found.find(("events", 0), n) for n in range(3)] == [
        Fate(State.DELIVERED, routed=True),
        Fate(State.FILTERED, "no_rule", routed=True),
        Fate(State.IN_FLIGHT, routed=True),
    ]
