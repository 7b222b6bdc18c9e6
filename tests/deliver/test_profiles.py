"""What becomes of one update before it is sent."""

from typing import Any, cast

import pytest

from streams.deliver.family import Prepared
from streams.deliver.profiles.family import Profiles, Ready
from streams.deliver.row import Row
from tests.deliver.test_conflicts import update


def prepared(op: Any) -> Row:
    found = Profiles().prepare(op, op["time"])
    assert isinstance(found, Prepared)
    return Row("klaviyo.profiles", 0, 0, op, b"", ready=found.ready)


@pytest.mark.parametrize(
    ("attributes", "fits"),
    [
        ({"first_name": "A", "properties": {"a": 1, "b": []}}, True),
        ({"first_name": None}, False),
        ({"properties": {"a": None}}, False),
        ({"location": {"city": None}}, False),
        ({"patch": {"unset": ["a"]}}, False),
        ({"patch": {"append": {"a": 1}}}, False),
        ({"patch": {"set_once": {"a": 1}}}, True),
        ({"patch": {"set_once": {"a": None}}}, False),
    ],
    ids=str,
)
def test_a_job_carries_what_it_understands(attributes: dict[str, Any], fits: bool) -> None:
    """Klaviyo's import jobs pass over null without a word, and have no way to unset or to append."""
    assert Profiles().fits(prepared(update(1, **attributes))) == fits


@pytest.mark.parametrize("ahead_ms", [-1000, 0, 10**12])
def test_a_value_of_the_future_counts_as_of_now(ahead_ms: int) -> None:
    """Else it would hold against every later one."""
    op = update(1, title="A")
    now = op["origin"]["accepted_at"]
    ready = cast("Ready", prepared({**op, "time": now + ahead_ms}).ready)
    assert ready.update.time == now + min(ahead_ms, 0)
