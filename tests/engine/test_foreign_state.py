"""A folder of state is a copy of one changelog: what another line, or a former one, left there is none."""

from pathlib import Path

import pytest

from streams.local.stack import Stack
from tests.line import Bench, eventually, running, track

pytestmark = pytest.mark.stack


def test_state_that_another_line_left_in_the_folder_is_not_taken_for_ones_own(
    stack: Stack, prefix: str, tmp_path: Path
) -> None:
    """Two prefixes on one machine, or brokers set up anew: the other's marks would make these duplicates."""
    other, line = Bench(stack, f"{prefix}other.", tmp_path), Bench(stack, prefix, tmp_path)
    with running(other, "dedupe"):
        other.accept(track(n, user_id=f"u{n}") for n in range(400))
        eventually(lambda: other.reached("segment.unique", 400))
    line.env["STREAMS_DATA"] = str(tmp_path / "elsewhere")
    with running(line, "dedupe"):
        for start in range(1_000, 3_000, 200):
            line.accept(track(n, user_id=f"u{n}") for n in range(start, start + 200))
            eventually(lambda reached=start - 800: line.reached("segment.unique", reached))  # type: ignore[misc]
    line.env["STREAMS_DATA"] = other.env["STREAMS_DATA"]
    with running(line, "dedupe"):
        line.accept(track(n, user_id=f"u{n}") for n in range(400))
        eventually(lambda: line.reached("segment.unique", 2_400))
    assert line.read("outcomes") == []
