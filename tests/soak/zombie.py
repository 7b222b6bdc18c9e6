"""An owner that sleeps through a takeover sends nothing late when it wakes up."""

import signal
import subprocess
import time
from itertools import groupby
from math import inf
from typing import Any

from tests.bench.place import Place
from tests.line import eventually
from tests.soak.backlog import LATENCY_MS, flood
from tests.soak.kept import kept
from tests.soak.place import Line, line
from tests.soak.results import Row

ROUNDS = 3
AWAKE_S = 15.0


class Pair:
    """Two workers, told apart by the name under which they know the simulator."""

    def __init__(self, at: Line) -> None:
        self._at = at
        self._hosts = {"a": "127.0.0.1", "b": "localhost"}
        self._text = at.bench.file.read_text()
        self.processes = {name: self._start(name) for name in self._hosts}

    def requests(self) -> list[tuple[float, str]]:
        """When each arrived, and whose it was."""
        names = {host: name for name, host in self._hosts.items()}
        found = self._at.klaviyo.requests()
        return sorted((r["at"], names[r["headers"]["host"].partition(":")[0]]) for r in found)

    def sender(self) -> str | None:
        """Who sent last."""
        found = self.requests()
        return found[-1][1] if found and found[-1][0] > time.time() - 3 else None

    def other(self, name: str) -> str:
        """The other one."""
        return "b" if name == "a" else "a"

    def revive(self) -> int:
        """Start again who ended; how many did."""
        ended = [name for name, process in self.processes.items() if process.poll() is not None]
        for name in ended:
            self.processes[name] = self._start(name)
        return len(ended)

    def _start(self, name: str) -> "subprocess.Popen[bytes]":
        self._at.bench.file.write_text(self._text.replace("127.0.0.1", self._hosts[name]))
        process = self._at.worker()
        # the file is read before the first log line; the next start may write it anew
        log = self._at.log
        size = log.stat().st_size
        eventually(lambda: log.stat().st_size > size or process.poll() is not None)
        return process


def late(requests: list[tuple[float, str]], woken: str, at: float) -> int:
    """Requests of the woken one while the other was the owner: those that the other's follow."""
    turns = [(name, len(list(group))) for name, group in groupby(n for when, n in requests if when >= at)]
    return sum(count for n, (name, count) in enumerate(turns) if name == woken and n < len(turns) - 1)


def _round(pair: Pair) -> dict[str, Any]:
    owner = eventually(pair.sender)
    heir = pair.other(owner)
    # a slice has calls that are reserved and not sent: the sleeper takes them along
    pair.processes[owner].send_signal(signal.SIGSTOP)
    slept = time.time()
    ended = 0
    deadline = time.monotonic() + 120
    while pair.sender() != heir and time.monotonic() < deadline:
        ended += pair.revive()
        time.sleep(0.5)
    first = min((at for at, name in pair.requests() if at > slept and name == heir), default=inf)
    time.sleep(3)
    woken = time.time()
    pair.processes[owner].send_signal(signal.SIGCONT)
    time.sleep(AWAKE_S)
    count = late(pair.requests(), owner, woken)
    return {"late": count, "took_s": first - slept, "ended": ended + pair.revive()}


def run(place: Place, seconds: float | None, rows: int) -> list[Row]:
    """Three takeovers."""
    with line(place, LATENCY_MS) as at:
        flood(at, rows)
        pair = Pair(at)
        time.sleep((seconds or 60) / 4)
        rounds = [_round(pair) for _ in range(ROUNDS)]
        took = ", ".join(f"{each['took_s']:.0f} s" for each in rounds)
        note = f"takeovers after {took}; {sum(each['ended'] for each in rounds)} processes ended"
        found = [
            Row("zombie.late", sum(each["late"] for each in rounds), 0, note=note),
            Row("zombie.http_429", at.klaviyo.refused(), 0),
        ]
        return [*found, *kept("zombie", at)]
