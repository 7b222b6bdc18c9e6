"""Child processes, kept running: one a stage."""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import FrameType

from streams.engine.telemetry import log

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0
SOUND_S = 60.0
"""A child that ran for so long starts again with the first pause."""
PATIENCE_S = 10.0
WRONG = 2


@dataclass(slots=True)
class _Child:
    """One command, its process while it runs, and when to start it again."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    pause: float = FIRST_PAUSE_S
    due: float = 0.0


def supervise(commands: Mapping[str, Sequence[str]], pipe_variable: str) -> int:
    """Run the commands until SIGTERM or SIGINT; one that ends starts again after a pause that doubles.

    Args:
        commands: name → command.
        pipe_variable: environment variable that tells a child the number of a pipe that closes with us.

    Returns:
        0 when told to stop, 2 as soon as a child ends with 2: its configuration is wrong, for all.
    """
    reading, writing = os.pipe()
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    stopping: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        stopping.append(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
    old_wake = signal.set_wakeup_fd(wake)
    children = [_Child(name, command) for name, command in commands.items()]
    try:
        return _loop(children, stopping, woken, reading, {**os.environ, pipe_variable: str(reading)})
    finally:
        _end([child.process for child in children if child.process])
        signal.set_wakeup_fd(old_wake)
        for number, handler in before.items():
            signal.signal(number, handler)
        for pipe in (reading, writing, woken, wake):
            os.close(pipe)


def _loop(
    children: list[_Child], stopping: list[int], woken: int, pipe: int, environ: Mapping[str, str]
) -> int:
    with selectors.DefaultSelector() as selector:
        selector.register(woken, selectors.EVENT_READ)
        while not stopping:
            now = time.monotonic()
            for child in children:
                if child.process is not None and (code := child.process.poll()) is not None:
                    if code == WRONG:
                        return WRONG
                    _ended(child, code, now)
                if child.process is None and child.due <= now:
                    child.process = subprocess.Popen(child.command, env=environ, pass_fds=(pipe,))
                    child.began = now
                    log.info("started", stage=child.name, pid=child.process.pid)
            due = [child.due - now for child in children if child.process is None]
            if selector.select(max(0.0, min(due)) if due else None):
                os.read(woken, 4096)
    return 0


def _ended(child: _Child, code: int, now: float) -> None:
    child.process = None
    child.pause = FIRST_PAUSE_S if now - child.began > SOUND_S else child.pause
    child.due = now + child.pause
    log.warning("ended", stage=child.name, code=code, again_in_s=child.pause)
    child.pause = min(child.pause * 2, LONGEST_PAUSE_S)


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Ask all to end, wait, then kill what is left."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + PATIENCE_S
    for process in processes:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.error("killed", pid=process.pid)
            process.kill()
            process.wait()
