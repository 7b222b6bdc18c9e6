"""A hundred thousand histories of consent: nobody is subscribed against the newest word."""

import os
import subprocess
import sys
from pathlib import Path

from tests.bench.place import Place
from tests.soak.results import Row

HISTORIES = 100_000
TEST = Path(__file__).parents[1] / "deliver" / "test_consent_rules.py"


def run(place: Place, seconds: float | None, rows: int) -> list[Row]:
    """In as many processes as there are cores, each with histories of its own."""
    share = os.cpu_count() or 1
    each = -(-HISTORIES // share)
    command = [sys.executable, "-m", "pytest", "-p", "no:xdist", "-q", "--timeout", "36000", str(TEST)]
    logs = [place.folder / f"consent{n}.log" for n in range(share)]
    running = []
    for number, log in enumerate(logs):
        env = os.environ | {
            "STREAMS_TEST_HISTORIES": str(each),
            "STREAMS_TEST_FIRST_HISTORY": str(number * each),
        }
        with log.open("wb") as file:
            running.append(subprocess.Popen(command, env=env, stdout=file, stderr=file))
    failed = [log for log, process in zip(logs, running, strict=True) if process.wait()]
    note = failed[0].read_text()[-2000:] if failed else f"{each * share} histories in {share} processes"
    return [Row("consent.failed", len(failed), 0, note=note)]
