"""What is held too long goes, whether or not anything comes in, and makes room for what comes next."""

from pathlib import Path

import pytest

from streams.local.stack import Stack
from tests.line import PIPELINE, Bench, eventually, running, track

pytestmark = pytest.mark.stack


def test_held_events_expire_on_a_line_that_fell_silent(stack: Stack, prefix: str, tmp_path: Path) -> None:
    """The clock goes on when both inputs are empty, transaction markers at their ends notwithstanding."""
    text = PIPELINE + "identity: {hold_hours: 0.001, hold_each: 2}\n"
    bench = Bench(stack, prefix, tmp_path, text)

    def outcomes() -> list[tuple[str, str]]:
        said = bench.decoded("outcomes", "outcome")
        return [(each["event_id"], each["outcome"]) for each in said if each["stage"] == "identify"]

    with running(bench, "dedupe", "identify"):
        bench.accept([track(0, anonymous_id="a")])
        bench.accept([track(1, anonymous_id="a")])
        eventually(lambda: ("m0", "expired") in outcomes() and ("m1", "expired") in outcomes(), 40)
        bench.accept([track(2, anonymous_id="a")])
        eventually(lambda: "m2" in [event_id for event_id, _ in outcomes()])

    assert ("m2", "held") in outcomes()
