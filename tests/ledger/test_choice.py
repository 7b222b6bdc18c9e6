"""A replay takes what came to nothing, or what it is told to; never what is still on its way."""

from typing import Any

import pytest

from streams.engine.control import Control
from streams.ledger.book import State
from streams.ledger.choice import DAY_MS, OUTCOMES, Choice, Fate, Fates, forgotten, parse_outcome
from streams.ledger.progress import KEY, NAMES, Counts, Progress, add

MESSAGE = {
    "space": "acme", "source": "web", "type": "track", "name": "Order Completed", "event_id": "e1",
}  # fmt: skip


def choice(*outcomes: str, **more: Any) -> Choice:
    return Choice(tuple(map(parse_outcome, outcomes)), **more)


@pytest.mark.parametrize(
    ("state", "taken"),
    [
        (State.FILTERED, True),
        (State.EXPIRED, True),
        (State.UNKNOWN, True),
        (State.DELIVERED, False),
        (State.UNCHANGED, False),
        (State.DEAD_LETTERED, False),
        (State.REFUSED, False),
        (State.HELD, False),
        (State.IN_FLIGHT, False),
    ],
)
def test_without_a_word_what_came_to_nothing_is_taken(state: State, taken: bool) -> None:
    assert Choice().takes(Fate(state)) is taken


def test_any_takes_all_but_what_is_on_its_way_and_copies_that_dedupe_dropped() -> None:
    everything = choice("any")
    taken = {state for state in State if everything.takes(Fate(state, routed=True))}
    assert {State.IN_FLIGHT, State.HELD}.isdisjoint(taken)
    assert {State.DELIVERED, State.DEAD_LETTERED, State.REFUSED, State.DUPLICATE} <= taken
    assert not everything.takes(Fate(State.DUPLICATE, "seen_before"))


def test_an_outcome_may_name_its_reason() -> None:
    by_reason = choice("filtered:no_rule", "expired")
    assert by_reason.takes(Fate(State.FILTERED, "no_rule"))
    assert not by_reason.takes(Fate(State.FILTERED, "integrations"))
    assert by_reason.takes(Fate(State.EXPIRED, "hold_expired"))
    assert Fate(State.FILTERED, "no_rule").name == "filtered:no_rule"
    assert Fate(State.UNKNOWN).name == "unaccounted"


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_outcome_that_is_told_can_be_asked_for(outcome: str) -> None:
    state = State.UNKNOWN if outcome == "unaccounted" else State[outcome.upper()]
    assert choice(outcome).takes(Fate(state, routed=True))


@pytest.mark.parametrize("text", ["held", "in_flight", "nonsense", "filtered:nonsense"])
def test_what_is_no_outcome_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"no (outcome|reason)"):
        parse_outcome(text)


@pytest.mark.parametrize(
    ("more", "matches"),
    [
        ({}, True),
        ({"space": "acme", "source": "web", "type": "track", "name": "Order Completed"}, True),
        ({"event": "e1"}, True),
        ({"space": "other"}, False),
        ({"source": "app"}, False),
        ({"type": "identify"}, False),
        ({"name": "Order"}, False),
        ({"event": "e2"}, False),
    ],
)
def test_filters_look_at_the_message(more: dict[str, str], matches: bool) -> None:
    assert Choice(**more).matches(MESSAGE) is matches  # type: ignore[arg-type]


def test_what_may_have_been_sent_before_the_lanes_memory_stays() -> None:
    now = 100 * DAY_MS
    assert forgotten(Fate(State.DELIVERED, routed=True), now - 22 * DAY_MS, now)
    assert not forgotten(Fate(State.DELIVERED, routed=True), now - 20 * DAY_MS, now)
    assert not forgotten(Fate(State.FILTERED, "no_rule"), now - 22 * DAY_MS, now)


def test_fates_of_offsets_between_those_told_are_unknown() -> None:
    fates = Fates()
    fates.note(("events", 1), 10, Fate(State.FILTERED))
    fates.note(("events", 1), 13, Fate(State.DELIVERED, routed=True))
    found = [fates.find(("events", 1), offset) for offset in range(9, 15)]
    assert found == [None, Fate(State.FILTERED), None, None, Fate(State.DELIVERED, routed=True), None]


def test_progress_survives_control() -> None:
    counts = Counts(read=3, chosen=2, sent=1, found={"filtered": 2})
    before = Progress(
        "r", choice("filtered:no_rule", name="A"), "acme", 5, {"segment.events/0": 3}, {}, counts
    )
    counts.stays("0-2", "why")
    after = Progress.of({KEY: before.fact(1)})
    assert after is not None
    before.counts.left = []
    assert after == before
    assert Progress.of({}) is None
    assert Progress.of({KEY: Control(*KEY)}) is None


def test_a_replay_is_done_when_each_partition_is_at_its_end() -> None:
    progress = Progress("r", Choice(), None, 0, {"segment.events/0": 3}, {"segment.events/0": 4})
    assert not progress.done
    progress.next["segment.events/0"] = 4
    assert progress.done


def test_counts_by_name_are_bounded() -> None:
    counts: dict[str, int] = {}
    add(counts, (f"track {n}" for n in range(NAMES + 7)))
    add(counts, ["track 0"])
    assert (len(counts), counts["…"], counts["track 0"]) == (NAMES + 1, 7, 2)
