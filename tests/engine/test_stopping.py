"""A stage that is told to stop while the broker is away ends soon, and says no more than that it was slow."""

import signal
from pathlib import Path

import pytest

from streams.local import stack as local
from tests.line import Bench, eventually

pytestmark = pytest.mark.stack


def test_it_ends_without_a_word_of_what_it_left(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    bench = Bench(local.up(folder, say=lambda _: None), "stop-", tmp_path)
    worker = bench.worker("dedupe")
    try:
        log = tmp_path / "dedupe.log"
        eventually(lambda: log.read_text().count("slot_open") == 4)
        local.kill_broker(folder)
        eventually(lambda: "kafka_away" in log.read_text())
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0
    finally:
        worker.kill()
        worker.wait()
        local.down(folder)
    assert "Task was destroyed" not in log.read_text()
    assert "Traceback" not in log.read_text()
