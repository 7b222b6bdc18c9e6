"""Lines for tests that need a whole one."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.local import stack as local
from streams.local.stack import Stack
from tests.whole.running import PIPELINE, Whole

Start = Callable[..., Whole]


@pytest.fixture
def start(stack: Stack, prefix: str, tmp_path: Path) -> Iterator[Start]:
    """Starts lines, each with a folder and a prefix of its own; those that still run must end well."""
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


@pytest.fixture(scope="session")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that tests may break; each leaves it running. They run one after another."""
    folder = tmp_path_factory.mktemp("stack")
    try:
        yield local.up(folder, say=print)
    finally:
        local.down(folder)


@pytest.fixture
def line(start: Start) -> Whole:
    """One line that runs."""
    return start()
