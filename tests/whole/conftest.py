"""Lines for tests that need a whole one."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.local.stack import Stack
pytest.register_assert_rewrite("tests.whole.running")
from tests.whole.running import PIPELINE, Whole  # noqa: E402 # after its asserts are told to explain themselves

Start = Callable[..., Whole]


@pytest.fixture
def start(stack: Stack, prefix: str, tmp_path: Path) -> Iterator[Start]:
    """Starts lines, each with a folder and a prefix of its own; all that still run are stopped, and end well."""
    lines: list[Whole] = []

    def begin(text: str = PIPELINE, on: Stack = stack) -> Whole:
        folder = tmp_path / f"line{len(lines)}"
        folder.mkdir()
        line = Whole(on, f"{prefix}{len(lines)}-", folder, text)
        lines.append(line)
        line.start()
        return line

    yield begin
    ends = [line.stop() for line in lines if line.process.poll() is None]
    assert [code for code, _ in ends] == [0] * len(ends)


@pytest.fixture
def line(start: Start) -> Whole:
    """One line that runs."""
    return start()
