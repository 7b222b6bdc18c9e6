"""Child processes that belong together: restarted when they end, ended when we end, however we end."""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Final

from streams.engine.errors import STANDS
from streams.engine.telemetry import log

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 10.0
STEADY_S: Final = 30.0
"""Who has run for so long starts from the first pause again."""
PATIENCE_S: Final = 6.0
LINE_BYTES: Final = 16 << 20
"""A child's line may be long: one that does not fit would end the watching."""
WRONG: Final = 2
"""Exit code of a wrong configuration: a restart can't help."""

OnLine = Callable[[str, str], None]


class Supervisor:
    """Runs named commands.

    Args:
        commands: name → argv.
        parent: environment variable that tells a child the number of the pipe which closes when we end.
        env: what children get on top of this process's environment.
        on_line: told each stdout line of a child by name; without it they share our stdout.
        on_change: told whenever a child was started, so that its process id is known.
    """

    def __init__(
        self,
        commands: Mapping[str, list[str]],
        parent: str,
        *,
        env: Mapping[str, str] | None = None,
        on_line: OnLine | None = None,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._commands = commands
        self._on_line = on_line
        self._on_change = on_change
        self._ours, self._theirs = os.pipe()
        self._env = {**os.environ, **(env or {}), parent: str(self._ours)}
        self._stopping = asyncio.Event()
        self._children: dict[str, asyncio.subprocess.Process] = {}
        self._tasks: list[asyncio.Task[int]] = []
        self._standing: set[str] = set()

    @property
    def pids(self) -> dict[str, int]:
        """Process id of each running child."""
        return {name: child.pid for name, child in self._children.items() if child.returncode is None}

    def start(self) -> None:
        """Start all; they are kept running until ``stop``."""
        self._tasks = [asyncio.create_task(self._keep(name), name=name) for name in self._commands]

    async def failed(self) -> int:
        """Wait until nothing is left to keep running; the exit code that says why.

        One child whose configuration is wrong suffices; one that stands still does not, while others work.
        """
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(iter(done)).result()

    async def _keep(self, name: str) -> int:
        pause = FIRST_PAUSE_S
        while True:
            began = monotonic()
            code = await self._run(name)
            if self._stopping.is_set() or code == WRONG:
                return code
            if code == STANDS:
                return await self._stand(name)
            pause = FIRST_PAUSE_S if monotonic() - began > STEADY_S else pause
            log.warning("child_ended", child=name, code=code, restart_in_s=pause)
            if await self._told_within(pause):
                return code
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _stand(self, name: str) -> int:
        """Leave a child ended that a restart can't help; the others go on."""
        says = "not started again: mend what `ended` in its log says, then restart"
        log.error("child_stands", child=name, code=STANDS, says=says)
        self._standing.add(name)
        if self._standing != self._commands.keys():
            await self._stopping.wait()
        return STANDS

    async def _told_within(self, pause_s: float) -> bool:
        """Wait, but not once all are to end; whether they are."""
        try:
            async with asyncio.timeout(pause_s):
                return await self._stopping.wait()
        except TimeoutError:
            return False

    async def _run(self, name: str) -> int:
        child = await asyncio.create_subprocess_exec(
            *self._commands[name],
            env=self._env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if self._on_line else None,
            pass_fds=(self._ours,),
            limit=LINE_BYTES,
            start_new_session=True,  # a Ctrl-C is ours to pass on
        )
        self._children[name] = child
        if self._stopping.is_set():  # it was asked for while the child was being made
            child.send_signal(signal.SIGTERM)
        self._on_change()
        if child.stdout is not None and self._on_line is not None:
            async for line in child.stdout:
                self._on_line(name, line.decode(errors="replace").rstrip("\n"))
        return await child.wait()

    async def stop(self) -> None:
        """Ask all to end; after six seconds those left are killed."""
        self._stopping.set()
        for child in self._children.values():
            if child.returncode is None:
                child.send_signal(signal.SIGTERM)
        _, late = await asyncio.wait(self._tasks, timeout=PATIENCE_S) if self._tasks else (set(), set())
        for task in late:
            child = self._children[task.get_name()]
            if child.returncode is None:
                log.warning("child_killed", child=task.get_name())
                child.kill()
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(child.wait() for child in self._children.values()))
        os.close(self._ours)
        os.close(self._theirs)


def supervise(commands: Mapping[str, list[str]], parent: str) -> int:
    """Keep commands running until SIGTERM or SIGINT.

    Returns:
        0 when told to stop, 2 when a child's configuration is wrong, 4 when all stand still.
    """
    return asyncio.run(_supervise(commands, parent))


async def _supervise(commands: Mapping[str, list[str]], parent: str) -> int:
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    supervisor = Supervisor(commands, parent)
    supervisor.start()
    waits = [asyncio.create_task(told.wait()), asyncio.create_task(supervisor.failed())]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    code = 0 if told.is_set() else int(waits[1].result())
    await supervisor.stop()
    for wait in waits:
        wait.cancel()
    return code
