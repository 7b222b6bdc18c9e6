"""Child processes: restarted when they end, never outliving whoever started them."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from streams.engine.supervisor import Supervisor

PARENT = """
import sys
from streams.engine.supervisor import supervise
sys.exit(supervise({"one": [sys.executable, "-c", sys.argv[1], sys.argv[2]]}, "PIPE"))
"""
ENDS = """
import os, sys
open(sys.argv[1], "a").write(f"{os.getpid()}\\n")
sys.exit(1)
"""
WAITS = """
import os, sys
open(sys.argv[1], "a").write(f"{os.getpid()}\\n")
os.read(int(os.environ["PIPE"]), 1)
"""


def parent(child: str, file: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", PARENT, child, str(file)], stderr=subprocess.DEVNULL)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def pids(file: Path) -> list[int]:
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"  # a zombie has ended
    except (ProcessLookupError, FileNotFoundError):  # it may end between the two
        return False


def test_a_child_that_is_killed_starts_again_and_ends_with_its_parent(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    with parent(WAITS, file) as process:
        until(lambda: len(pids(file)) == 1)
        os.kill(pids(file)[0], signal.SIGKILL)
        until(lambda: len(pids(file)) == 2)
        process.terminate()
        assert process.wait(20) == 0
    assert not runs(pids(file)[1])


def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    with parent(WAITS, file) as process:
        until(lambda: len(pids(file)) == 1)
        process.kill()
    until(lambda: not runs(pids(file)[0]))


def test_a_childs_wrong_configuration_ends_all(tmp_path: Path) -> None:
    with parent("import sys; sys.exit(2)", tmp_path / "none") as process:
        assert process.wait(20) == 2


TWO = """
import sys
from streams.engine.supervisor import supervise
children = {"stands": [sys.executable, "-c", "import sys; sys.exit(4)"]}
if len(sys.argv) > 1:
    children["works"] = [sys.executable, "-c", sys.argv[1], sys.argv[2]]
sys.exit(supervise(children, "PIPE"))
"""


def test_a_child_that_no_restart_helps_stays_ended_and_the_others_work_on(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    command = [sys.executable, "-c", TWO, WAITS, str(file)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if "child_stands" in line)
        until(lambda: len(pids(file)) == 1)
        assert runs(pids(file)[0])
        process.terminate()
        left = process.stderr.read()
        assert process.wait(20) == 0
    assert "child_ended" not in left


def test_when_nothing_is_left_that_a_restart_helps_all_end() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TWO], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 4
    assert done.stderr.count("child_stands") == 1


def test_a_child_that_waits_for_its_restart_is_not_started_when_all_are_to_end(tmp_path: Path) -> None:
    """And nobody waits for it: it pauses for four seconds when it has ended four times."""
    file = tmp_path / "pids"
    with parent(ENDS, file) as process:
        until(lambda: len(pids(file)) == 4)
        until(lambda: not runs(pids(file)[3]))
        began = time.monotonic()
        process.terminate()
        assert process.wait(20) == 0
    assert time.monotonic() - began < 3.5
    assert len(pids(file)) == 4


async def test_a_childs_line_may_be_long() -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    says = "import os; print('x' * 300_000, flush=True); os.read(int(os.environ['PIPE']), 1)"
    supervisor = Supervisor(
        {"one": [sys.executable, "-c", says]}, "PIPE", on_line=lambda _, line: told.put_nowait(line)
    )
    supervisor.start()
    async with asyncio.timeout(20):
        assert await told.get() == "x" * 300_000
    await supervisor.stop()
