"""The stack's own child processes: started apart, recognised by id and start time, stopped by nobody else.

Reads /proc, so Linux only. A process id alone proves nothing after a restart of the machine or once the id
has gone round; the start time and the boot's id make it one process for ever.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_LISTEN = "0A"  # a listening socket's state in /proc/net/tcp


@dataclass(frozen=True, slots=True)
class Child:
    """One process: its id, its start in clock ticks since boot, and the boot it belongs to."""

    pid: int
    started: int
    boot: str


def spawn(command: Sequence[str], log: Path, env: Mapping[str, str]) -> Child:
    """Start `command` in a session of its own, its output appended to `log`.

    What this process inherited (a lock, a pipe that somebody reads to its end) is not handed on: `command`
    outlives it.
    """
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
        *((os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in _inherited()),
    ]
    pid = os.posix_spawn(command[0], list(command), dict(env), file_actions=actions, setsid=True)
    return Child(pid, _started(pid) or 0, _boot())


def _inherited() -> Iterator[int]:
    """Open descriptors, beyond the first three, that a child would get."""
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if int(descriptor.name) > 2 and os.get_inheritable(int(descriptor.name)):
                yield int(descriptor.name)


def alive(child: Child) -> bool:
    """True while exactly this process runs; one that ended but was not waited for counts as ended."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(child.pid, os.WNOHANG)
    return child.boot == _boot() and _started(child.pid) == child.started


def listens(child: Child, port: int) -> bool:
    """True when `child` itself holds the socket that listens on `port`."""
    wanted = {f"socket:[{inode}]" for inode in _listening(port)}
    if not wanted:
        return False
    with contextlib.suppress(OSError):
        for descriptor in Path(f"/proc/{child.pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if str(descriptor.readlink()) in wanted:
                    return True
    return False


def stop(children: Iterable[Child], *, patience: float = 6.0) -> None:
    """Ask all to end at once; after `patience` seconds those left are killed."""
    left = [child for child in children if _signal(child, signal.SIGTERM)]
    if not _gone(left, patience):
        kill(left)


def kill(children: Iterable[Child]) -> None:
    """End all at once, without giving them a chance to tidy up, and wait until they are gone."""
    left = [child for child in children if _signal(child, signal.SIGKILL)]
    _gone(left, 5.0)


def _signal(child: Child, number: signal.Signals) -> bool:
    if not alive(child):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(child.pid, number)
    return True


def _gone(children: Sequence[Child], patience: float) -> bool:
    deadline = time.monotonic() + patience
    while any(alive(child) for child in children):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _started(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat[stat.rindex(")") + 2 :].split()  # the name may hold blanks and brackets
    # a zombie whose threads still end holds its ports until the last of them is gone
    ended = fields[0] in "ZX" and int(fields[17]) <= 1
    return None if ended else int(fields[19])


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _listening(port: int) -> set[str]:
    """Inodes of the sockets that listen on `port`; Java's show up among the IPv6 ones, too."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for row in Path(table).read_text().splitlines()[1:]:
                fields = row.split()
                if fields[3] == _LISTEN and int(fields[1].rsplit(":", 1)[1], 16) == port:
                    inodes.add(fields[9])
    return inodes
