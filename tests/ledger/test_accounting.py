"""Every accepted record counts once, as the first state that applies among its deliveries."""

from hypothesis import given
from hypothesis import strategies as st

from streams.ledger.accounting import HOUR_MS, Accounts
from streams.ledger.book import State
from streams.ledger.tally import Missing, percentile
from tests.ledger.accounts import NOW, accounts, states, tally
from tests.ledger.said import origin, refuses, says


def test_a_record_without_outcome_below_the_position_is_missing_and_one_above_is_in_flight() -> None:
    made = accounts(3)
    made.outcome(says("dedupe", 0, "duplicate"))
    made.looked({("events", 0): [1, 2]})
    found = made.tally(NOW, {("events", 0): 2})
    assert found.states["events"] == {State.DUPLICATE: 1, State.UNKNOWN: 1, State.IN_FLIGHT: 1}
    assert found.missing == [Missing("events", 0, 1, "")]
    assert found.accepted == {"events": 3}


def test_an_offset_without_record_is_not_counted() -> None:
    made = accounts(3)
    made.outcome(says("dedupe", 0, "duplicate"))
    made.looked({("events", 0): [1]})
    assert made.tally(NOW, {("events", 0): 3}).accepted == {"events": 2}
    assert list(made.silent()) == []


def test_a_record_waiting_before_a_stage_is_in_flight() -> None:
    made = accounts(1)
    made.looked({("events", 0): [0]})
    made.opened(origin(0))
    assert states(made) == {State.IN_FLIGHT: 1}
    made.close_all()
    assert states(made) == {State.UNKNOWN: 1}


def test_a_routed_record_counts_as_the_first_state_among_its_deliveries() -> None:
    made = accounts(1)
    made.outcome(says("route", 0, "routed", deliveries=["a", "b", "c"]))
    made.outcome(says("deliver", 0, "filtered", delivery_id="a"))
    made.outcome(says("deliver", 0, "delivered", "accepted", delivery_id="b"))
    found = tally(made)
    assert found.states["events"] == {State.UNKNOWN: 1}
    assert found.missing == [Missing("events", 0, 0, "route")]
    made.opened(origin(0), "c")
    assert states(made) == {State.IN_FLIGHT: 1}
    made.dead_letter(refuses("deliver", 0, account="acme", delivery_id="c"))
    assert states(made) == {State.DEAD_LETTERED: 1}
    made.outcome(says("deliver", 0, "delivered", "accepted", delivery_id="c", at=3_000))
    assert states(made) == {State.DELIVERED: 1}


def test_repeated_outcomes_change_nothing_and_the_last_one_counts() -> None:
    made = accounts(1)
    for _ in range(3):
        made.outcome(says("route", 0, "routed", deliveries=["a"]))
        made.outcome(says("deliver", 0, "delivered", "accepted", delivery_id="a"))
    made.outcome(says("deliver", 0, "delivered", "confirmed", delivery_id="a"))
    found = tally(made)
    assert found.states["events"] == {State.DELIVERED: 1}
    assert found.deliveries == {"confirmed": 1}
    assert list(made.latencies) == [1_000]


def test_the_order_of_reading_two_stages_does_not_matter() -> None:
    first, second = accounts(1), accounts(1)
    held = says("identify", 0, "held", at=NOW)
    routed = says("route", 0, "routed", deliveries=["a"])
    delivered = says("deliver", 0, "delivered", delivery_id="a")
    for each in (held, routed, delivered):
        first.outcome(each)
    for each in (delivered, routed, held):
        second.outcome(each)
    assert states(first) == states(second) == {State.DELIVERED: 1}


def test_a_record_held_longer_than_its_hold_and_an_hour_is_missing() -> None:
    made = accounts(2)
    made.outcome(says("identify", 0, "held", at=NOW - 3 * HOUR_MS - 1))
    made.outcome(says("identify", 1, "held", at=NOW - 3 * HOUR_MS))
    found = tally(made)
    assert found.states["events"] == {State.UNKNOWN: 1, State.HELD: 1}
    assert found.missing == [Missing("events", 0, 0, "identify")]


def test_a_held_record_that_was_released_is_in_flight_until_it_is_routed() -> None:
    made = accounts(1)
    made.outcome(says("identify", 0, "held", at=NOW))
    made.opened(origin(0))
    assert states(made) == {State.IN_FLIGHT: 1}


def test_a_dead_letter_accounts_for_its_record_without_an_outcome() -> None:
    made = accounts(2)
    made.dead_letter(refuses("dedupe", 0))
    made.dead_letter(refuses("route", 1, account="acme"))
    made.outcome(says("identify", 1, "held", at=NOW))
    made.looked({("events", 0): [0, 1]})
    assert states(made) == {State.DEAD_LETTERED: 2}


def test_a_record_that_one_account_refused_is_dead_lettered_though_another_got_it() -> None:
    made = accounts(1)
    made.dead_letter(refuses("route", 0, account="other"))
    made.outcome(says("route", 0, "routed", deliveries=["a"]))
    made.outcome(says("deliver", 0, "delivered", delivery_id="a"))
    assert states(made) == {State.DEAD_LETTERED: 1}


def test_an_event_refused_at_the_gateway_counts_by_its_dead_letter() -> None:
    made = accounts(0)
    made.dead_letter(refuses("gateway", -1, partition=-1))
    made.dead_letter(refuses("gateway", -1, partition=-1, line="engagement"))
    found = tally(made)
    assert found.accepted == {"events": 1, "engagement": 1}
    assert found.states["engagement"] == {State.DEAD_LETTERED: 1}


def test_a_replay_counts_by_its_time_whatever_stage_said_it() -> None:
    made = accounts(1)
    made.outcome(says("route", 0, "filtered"))
    made.outcome(says("identify", 0, "refused", "erased", at=9_000, replay="r1"))
    assert states(made) == {State.REFUSED: 1}
    made.outcome(says("route", 0, "filtered", at=8_000, replay="r0"))
    made.outcome(says("route", 0, "filtered"))
    assert states(made) == {State.REFUSED: 1}
    made.outcome(says("route", 0, "routed", at=9_500, replay="r2", deliveries=["a"]))
    made.outcome(says("deliver", 0, "delivered", at=9_600, replay="r2", delivery_id="a"))
    assert states(made) == {State.DELIVERED: 1}


def test_engagement_is_counted_apart() -> None:
    made = accounts(1, line="engagement")
    made.outcome(says("route", 0, "routed", line="engagement", deliveries=["a"]))
    made.outcome(says("feedback", 0, "delivered", line="engagement", delivery_id="a"))
    found = tally(made, line="engagement")
    assert found.states["engagement"] == {State.DELIVERED: 1}
    assert found.deliveries == {}
    assert not made.latencies


def test_what_lies_before_the_topic_begins_is_left_out() -> None:
    made = Accounts(hold_ms=0)
    made.grow("events", 0, 10, 12)
    made.outcome(says("dedupe", 9, "duplicate"))
    made.outcome(says("dedupe", 10, "duplicate"))
    made.grow("events", 0, 11, 13)
    made.looked({("events", 0): [12]})
    assert made.tally(NOW, {("events", 0): 12}).states["events"] == {State.DUPLICATE: 1, State.IN_FLIGHT: 1}


_BECAME = st.sampled_from(["duplicate", "filtered", "held", "refused", "expired", "routed"])


@given(st.lists(st.tuples(st.integers(0, 9), _BECAME), max_size=40), st.integers(0, 10))
def test_states_always_add_up_to_accepted(said: list[tuple[int, str]], passed: int) -> None:
    made = accounts(10)
    for offset, became in said:
        made.outcome(says("route", offset, became, deliveries=[str(offset)] if became == "routed" else ()))
    made.looked({("events", 0): range(10)})
    found = made.tally(NOW, {("events", 0): passed})
    assert found.accepted["events"] == 10 == sum(found.states["events"].values())
    assert len(found.missing) == found.states["events"][State.UNKNOWN]


def test_percentiles() -> None:
    assert percentile([], 0.99) == 0
    assert percentile(range(1, 101), 0.5) == 51
    assert percentile([7], 0.99) == 7
