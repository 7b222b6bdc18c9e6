"""Lines for tests that need a whole one."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streams.local import stack as local
from streams.local.stack import Stack
from tests.conftest import delete_topics
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


@contextmanager
def shared(stack: Stack, folder: Path, text: str = PIPELINE) -> Iterator[Whole]:
    """One line for several tests: each counts from what was there before it."""
    prefix = f"t{secrets.token_hex(4)}-"
    line = Whole(stack, prefix, folder, text)
    try:
        line.start()
        yield line
    finally:
        code, _ = line.stop()
        delete_topics(stack.kafka, prefix)
    assert code == 0


@pytest.fixture(scope="module")
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
