"""The tracking plan: what is refused, what is only counted."""

from typing import Any

import pytest

from streams.segment.contracts import Contracts
from streams.segment.tracking_plan import UNKNOWN, TrackingPlan

SCHEMA = {"type": "record", "event": "Signed Up", "fields": [{"name": "plan", "type": "string"}]}
BAD = {"type": "track", "event": "Signed Up", "properties": {"plan": 5}}
GOOD = {"type": "track", "event": "Signed Up", "properties": {"plan": "free"}}


def plan(level: Any = True, unknown: Any = "allow") -> TrackingPlan:
    return TrackingPlan(Contracts([SCHEMA]), {"Signed Up": level}, unknown)


def test_a_refusal_names_path_expected_and_found() -> None:
    assert plan().refusal("Signed Up", BAD) == "properties.plan must be string, this is a number '5'"
    assert plan().refusal("Signed Up", GOOD) is None


@pytest.mark.parametrize(("level", "counted"), [("warn", 1), (False, 0)])
def test_what_is_not_enforced_passes_and_is_counted_where_asked(level: Any, counted: int) -> None:
    found = plan(level)
    assert found.refusal("Signed Up", BAD) is None
    assert found.warned["Signed Up"] == counted


def test_an_event_without_contract_is_let_pass_counted_or_refused() -> None:
    assert plan().refusal("Other", {}) is None
    warns = plan(unknown="warn")
    assert warns.refusal("Other", {}) is None
    assert warns.warned == {UNKNOWN: 1}
    assert plan(unknown="refuse").refusal("Signed up", {}) == (
        "event must be one that has a contract (such as 'Signed Up'), this is 'Signed up'"
    )


def test_a_contract_that_is_not_listed_makes_its_event_known() -> None:
    found = TrackingPlan(Contracts([SCHEMA]), {}, "refuse")
    assert found.refusal("Signed Up", BAD) is None


def test_a_plan_that_never_acts_is_idle() -> None:
    assert TrackingPlan(Contracts([SCHEMA]), {}).idle
    assert plan(level=False).idle
    assert not plan(level="warn").idle
    assert not TrackingPlan(Contracts([]), {}, "warn").idle


def test_names_that_nobody_knows_cost_little_however_many_come() -> None:
    found = plan(unknown="refuse")
    first = found.refusal("Signed up", {"event": "Signed up"})

    for n in range(1_000):
        assert found.refusal(f"Signed up {n}", {}) is not None

    assert len(found._near) == 200
    assert found.refusal("Signed up", {"event": "Signed up"}) == first
