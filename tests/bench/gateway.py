"""The gateway: single events and batches with acks=all, next to a handler that only reads the body."""

import json
import subprocess
import sys
from contextlib import ExitStack
from typing import NamedTuple

from tests.bench.place import Place, cpu_seconds, pipeline, process, say
from tests.bench.results import Measured

SECONDS = 5
SENDERS = 32
BATCH = 100


class Door(NamedTuple):
    """A row: where its requests go, and how many events each carries."""

    url: str
    events: int
    pid: int


def run(place: Place) -> list[Measured]:
    """Events a second and what each costs the server, in turn."""
    speed: dict[str, list[float]] = {}
    cost: dict[str, list[float]] = {}
    with ExitStack() as ends:
        line = ends.enter_context(place.line("gateway", pipeline(1)))
        command = [sys.executable, "-m", "streams", "gateway", "--config", str(line.file)]
        gateway = ends.enter_context(process(command, line.folder / "gateway.log", line.env))
        bare = ends.enter_context(
            process([sys.executable, "-m", "tests.bench.peers.bare"], line.folder / "bare.log")
        )
        url, bare_url = _url(gateway), _url(bare)
        doors = {
            "gateway.bare": Door(bare_url, 1, bare.pid),
            "gateway.single": Door(url, 1, gateway.pid),
            "gateway.batch": Door(url, BATCH, gateway.pid),
        }
        for _ in range(place.turns):
            for name, door in doors.items():
                events, seconds, cpu = _load(door)
                speed.setdefault(name, []).append(events / seconds)
                cost.setdefault(name, []).append(cpu / events * 1e6)
                say(f"{name}: {speed[name][-1]:,.0f} events/s, {cost[name][-1]:.1f} µs/event")
    rows = [Measured(name, "events/s", runs, _peer(name)) for name, runs in speed.items()]
    return rows + [
        Measured(f"{name}.cpu", "µs/event", runs, _peer(name, ".cpu")) for name, runs in cost.items()
    ]


def _peer(name: str, suffix: str = "") -> str | None:
    return "gateway.bare" + suffix if name != "gateway.bare" else None


def _url(child: "subprocess.Popen[bytes]") -> str:
    assert child.stdout is not None
    url: str = json.loads(child.stdout.readline().removeprefix(b"READY "))["gateway"]
    return url


def _load(door: Door) -> tuple[int, float, float]:
    """Events answered with 200, seconds, and the server's CPU seconds."""
    command = [
        sys.executable,
        "-m",
        "tests.bench.sender",
        door.url,
        str(door.events),
        str(SENDERS),
        str(SECONDS),
    ]
    before = cpu_seconds(door.pid)
    ran = subprocess.run(command, capture_output=True, check=True, timeout=SECONDS + 60)
    answered, refused, seconds = json.loads(ran.stdout)
    if refused or not answered:
        raise RuntimeError(f"{door.url}: {answered} requests answered, {refused} refused")
    return answered * door.events, seconds, cpu_seconds(door.pid) - before
