"""What the shipped templates make of every example, held against files that were read line by line.

After a change that is meant: ``python -m tests.route.snapshots`` writes them anew; read the difference.
"""

from typing import Any

import pytest

from tests.route.snapshots import ECOMMERCE, examples, expected, made


@pytest.mark.parametrize("name", ["classic", "dirt"])
def test_a_template_makes_of_each_example_what_was_reviewed(name: str) -> None:
    found, kept = made(name), expected(name)
    assert len(found) == len(kept)
    for each, before in zip(found, kept, strict=True):
        assert each == before


@pytest.mark.parametrize("example", ECOMMERCE, ids=lambda example: example["event"])
def test_the_template_track_leaves_everything_as_it_is(example: dict[str, Any]) -> None:
    (sent,) = made("track", [example])[0]["track"]["sent"]
    properties = {name: value for name, value in example["properties"].items() if name != "currency"}
    assert (sent["metric"], sent["properties"]) == (example["event"], properties)
    assert sent.get("value_currency", "") == example["properties"].get("currency", "").upper()


def test_there_is_dirt_of_every_type() -> None:
    assert {each["type"] for each in examples("dirt")} == {"identify", "group", "page", "screen", "track"}
