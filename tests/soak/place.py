"""One line to Klaviyo: the simulator and the deliver stage as processes, and operations that keep coming."""

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import orjson
from confluent_kafka import Producer

from streams.engine.reading import Reader
from streams.engine.slots import Slots
from tests.bench.place import Place, pipeline, process
from tests.line import Bench

KEY: Final = "pk_s0"
PEOPLE: Final = 20_000
STEADY_S: Final = 60.0
STEP_S: Final = 0.2
ADMIN: Final = re.compile(r" admin url=(\S+)")
ROOM: Final = {"queue.buffering.max.messages": 1_000_000, "linger.ms": 5, "compression.type": "lz4"}
PATHS: Final = {
    "events": ("/api/events", "/api/event-bulk-create-jobs"),
    "profiles": ("/api/profile-import",),
}


def operation(n: int, kind: str, payload: dict[str, Any]) -> dict[str, Any]:
    """One operation of one of the people, made and accepted now."""
    now = int(time.time() * 1000)
    who = n % PEOPLE
    origin = {"line": "events", "space": "s0", "partition": 0, "offset": n, "accepted_at": now}
    profile = {"id": f"p{who}", "email": f"person{who}@shop.example", "user_id": f"u{who}"}
    return {
        "op_id": blake2b(f"{kind}{n}".encode(), digest_size=16).hexdigest(),
        "account": "s0",
        "kind": kind,
        "origin": origin | {"replay": None},
        "event_id": f"{kind}{n}",
        "profile": profile | {"phone": None, "anonymous_ids": []},
        "time": now,
        "backfill": False,
        "payload": orjson.dumps(payload),
    }


def order(n: int, note: str = "") -> dict[str, Any]:
    """An event, as large as its note."""
    properties = {"OrderId": f"o{n}", "Items": [{"ProductName": "Shirt", "Price": 19.5}], "Note": note}
    return operation(n, "event", {"metric": "Placed Order", "properties": properties, "value": 19.5})


def update(n: int) -> dict[str, Any]:
    """A profile update that goes by itself however many wait: no import job can append."""
    return operation(n, "profile", {"attributes": {}, "patch": {"append": {"visits": f"v{n}"}}})


Make = Callable[[int], dict[str, Any]]
MAKERS: Final[dict[str, Make]] = {"events": order, "profiles": update}


@dataclass
class Klaviyo:
    """The simulator's control surface."""

    url: str

    def ask(self, path: str, body: Any = None, method: str | None = None) -> Any:
        """One call of ``/sim/…``, its answer decoded."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/sim/{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=120) as reply:
            return orjson.loads(reply.read())

    def configure(self, **settings: Any) -> None:
        """Set switches."""
        self.ask("config", settings, "PUT")

    def requests(self, lane: str | None = None) -> list[dict[str, Any]]:
        """All requests of a lane, or all."""
        with urllib.request.urlopen(f"{self.url}/sim/requests", timeout=120) as reply:
            found = [orjson.loads(line) for line in reply]
        return [request for request in found if lane is None or request["path"] in PATHS[lane]]

    def refused(self) -> int:
        """How often a 429 was answered."""
        return int(self.ask("stats")["http_429"])


class Feed(threading.Thread):
    """Puts operations into a lane's topic, so many a second, until told to stop."""

    def __init__(self, line: "Line", lane: str, rate: float, make: Make) -> None:
        super().__init__(daemon=True)
        self.count = 0
        self.lane = lane
        self._make = make
        self._rate = rate
        self._over = threading.Event()
        bench = line.bench
        bench.registry.ready_sync(f"klaviyo.{lane}")
        self._encode = bench.registry.codec("operation").encode
        self._topic = f"{bench.config.prefix}klaviyo.{lane}"
        self._slot = line.slot
        self._producer = Producer(bench.config.kafka.client() | ROOM)

    def run(self) -> None:
        """Keep to the rate."""
        began, make = time.monotonic(), self._make
        while not self._over.is_set():
            due = int((time.monotonic() - began) * self._rate) + 1
            while self.count < due:
                self._producer.produce(self._topic, self._encode(make(self.count)), b"s0", self._slot)
                self.count += 1
            self._producer.poll(0)
            self._over.wait(min(STEP_S, 1 / self._rate))

    def stop(self) -> int:
        """No more; how many operations there were."""
        if self.is_alive():
            self._over.set()
            self.join()
            if self._producer.flush(60):
                raise RuntimeError("operations were not taken by the broker")
        return self.count


@dataclass
class Line:
    """A running line; ``workers`` end with it."""

    bench: Bench
    klaviyo: Klaviyo
    slot: int
    stack: contextlib.ExitStack
    feeds: list[Feed] = field(default_factory=list)

    @property
    def log(self) -> Path:
        """Of all its workers."""
        return self.bench.folder / "deliver.log"

    def worker(self, **env: str) -> "subprocess.Popen[bytes]":
        """Start the deliver stage."""
        command = [sys.executable, "-m", "streams", "worker", "deliver", "--config", str(self.bench.file)]
        return self.stack.enter_context(process(command, self.log, self.bench.env | env))

    def gauge(self, name: str) -> float:
        """A value from the newest worker's ``/metrics``, whose address its log tells."""
        url = ADMIN.findall(self.log.read_text())[-1]
        with urllib.request.urlopen(f"{url}/metrics", timeout=10) as reply:
            lines: list[str] = reply.read().decode().splitlines()
        return float(next(line for line in lines if line.startswith(name)).rpartition(" ")[2])

    def feed(self, lane: str, rate: float, make: Make | None = None) -> Feed:
        """Let operations come."""
        feed = Feed(self, lane, rate, make or MAKERS[lane])
        self.feeds.append(feed)
        feed.start()
        self.stack.callback(feed.stop)
        return feed

    def drained(self, timeout_s: float = 300.0) -> dict[str, dict[str, int]]:
        """Stop the feeds, wait until each operation has an outcome: op id → outcome → how often."""
        expected = sum(feed.stop() for feed in self.feeds)
        topic = self.bench.config.prefix + "outcomes"
        reader = Reader(self.bench.config.kafka.client())
        places = reader.places([topic])
        found: dict[str, dict[str, int]] = {}
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            # markers of transactions count here, too: not less than the outcomes, so it is a cheap first look
            if sum(reader.stable(places).values()) >= expected:
                found = self._outcomes()
                if len(found) >= expected:
                    return found
            time.sleep(1)
        told = "\n".join(self.log.read_text().splitlines()[-8:])
        done = f"{len(found)} of {expected} operations have an outcome after {timeout_s:.0f} s"
        raise RuntimeError(f"{done}; the log ends\n{told}")

    def _outcomes(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        for outcome in self.bench.decoded("outcomes", "outcome"):
            counts = found.setdefault(outcome["delivery_id"], {})
            counts[outcome["outcome"]] = counts.get(outcome["outcome"], 0) + 1
        return found


@contextlib.contextmanager
def line(place: Place, latency_ms: float, url: Callable[[str], str] = lambda url: url) -> Iterator[Line]:
    """A simulator with Klaviyo's own windows, a broker's topics, no worker yet.

    ``url`` is what the configuration has for Klaviyo's address.
    """
    with contextlib.ExitStack() as ends:
        command = [sys.executable, "-m", "streams", "simulate", "klaviyo"]
        child = ends.enter_context(process(command, place.folder / "klaviyo.log"))
        assert child.stdout is not None
        klaviyo = Klaviyo(json.loads(child.stdout.readline().removeprefix(b"READY "))["klaviyo"])
        klaviyo.configure(keys={KEY: "s0"}, latency_ms=latency_ms, max_body_bytes=32 << 20)
        bench = ends.enter_context(place.line("soak", pipeline(1, url(klaviyo.url))))
        slot = Slots.read(bench.config).account("s0")
        # entered last: workers and feeds end before the topics and the simulator do
        yield Line(bench, klaviyo, slot, ends.enter_context(contextlib.ExitStack()))


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
