"""A whole line on the test stack: started as users start it, driven and asked from outside."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

import orjson

from streams.config import Config, load
from streams.engine import lanes
from streams.engine.reading import Range, Reader
from streams.engine.registry import Registry
from streams.ledger.audit import Auditor, audit
from streams.local.stack import Stack
from streams.local.traffic import Counts, Webhook, send
from streams.local.traffic.message import Message
from tests.line import SHOP, eventually
from tests.whole.messages import Sending

PIPELINE = SHOP + "deliver: {probe_s: 2}\n"
STAGES = ("dedupe", "identify", "route", "deliver", "feedback")
STATES = (
    "delivered", "unchanged", "duplicate", "filtered", "held", "expired", "refused", "dead_lettered",
    "in_flight", "unaccounted",
)  # fmt: skip


class Said(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


class Whole:
    """`streams dev` on a broker that is not its own, and what a user does beside it."""

    def __init__(self, stack: Stack, prefix: str, folder: Path, text: str = PIPELINE) -> None:
        self.folder = folder
        self.file = folder / "pipeline.yaml"
        self.file.write_text(text)
        self.log = folder / "dev.log"
        self._ready_file = folder / "ready.json"
        self._env = os.environ | {
            "STREAMS_KAFKA_BOOTSTRAP": stack.kafka,
            "STREAMS_REGISTRY_URL": stack.registry,
            "STREAMS_PREFIX": prefix,
            "STREAMS_DATA": str(folder / "state"),
            "STREAMS_PARTITIONS": "4",
        }
        self.process: subprocess.Popen[bytes]

    def start(self) -> None:
        """Start the line and wait until everything answers."""
        command = [sys.executable, "-m", "streams", "dev", "--config", str(self.file)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--ready-file", str(self._ready_file)],
                env=self._env, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        eventually(lambda: self._ready_file.exists() or self.process.poll() is not None)
        assert self.process.poll() is None, self.log.read_text()[-4000:]

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Tell it to stop; exit code and seconds."""
        began = time.monotonic()
        self.process.send_signal(number)
        try:
            return self.process.wait(30), time.monotonic() - began
        finally:
            self.process.kill()

    @property
    def ready(self) -> dict[str, Any]:
        """What the ready file says now."""
        told: dict[str, Any] = json.loads(self._ready_file.read_text())
        return told

    @cached_property
    def config(self) -> Config:
        """As the line's own processes have it."""
        return load(self.file, self._env | self.ready["env"])

    def pid(self, part: str) -> int:
        """Process id of a part."""
        (pid,) = self.ready["pids"][part]
        return int(pid)

    def kill(self, part: str) -> None:
        """kill -9 of a part; returns when the supervisor has started the next one."""
        before = self.pid(part)
        os.kill(before, signal.SIGKILL)
        eventually(lambda: self.ready["pids"].get(part, [before]) != [before])

    def run(self, *arguments: str) -> Said:
        """A command on this line."""
        ran = subprocess.run(
            [sys.executable, "-m", "streams", *arguments, "--config", str(self.file)],
            env=self._env | self.ready["env"], capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        return Said(ran.returncode, ran.stdout, ran.stderr)

    def audit(self, wait_s: float = 60) -> dict[str, Any]:
        """A clean audit by the command; fails if it is not, or if its sums do not add up."""
        said = self.run("audit", "--json", "--wait", str(wait_s))
        assert said.code in (0, 1), said
        report = _clean(json.loads(said.out))
        assert said.code == 0, report
        return report

    def drained(self, wait_s: float = 60) -> dict[str, Any]:
        """The same with nothing in flight."""
        return _idle(self.audit(wait_s))

    def look(self) -> dict[str, Any]:
        """A clean audit as of now without a process: each look reads on where the last one ended."""
        return _clean(self._auditor.look().document())

    def idle(self, wait_s: float = 60) -> dict[str, Any]:
        """A clean audit with nothing in flight, likewise."""
        return _idle(_clean(audit(self.config, wait_s).document()))

    @cached_property
    def _auditor(self) -> Auditor:
        return Auditor(self.config)

    def dead_letters(self) -> list[dict[str, Any]]:
        """As listed."""
        said = self.run("dead-letters", "list", "--json")
        assert said.code == 0, said
        return [json.loads(line) for line in said.out.splitlines()]

    def lag(self, name: str) -> int:
        """Records that wait before ACCOUNT/LANE."""
        account, lane = name.split("/")
        rows = lanes.listing(self.config)
        return next(int(row["lag"]) for row in rows if (row["account"], row["lane"]) == (account, lane))

    def lanes(self) -> dict[str, dict[str, Any]]:
        """`lanes list --json` by ACCOUNT/LANE."""
        said = self.run("lanes", "list", "--json")
        assert said.code == 0, said
        rows = [json.loads(line) for line in said.out.splitlines()]
        return {f"{row['account']}/{row['lane']}": row for row in rows}

    def ask(self, part: str, path: str, body: Any = None, method: str | None = None) -> Any:
        """One request to a part of the line; its JSON answer."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.ready[part] + path, data, {"Content-Type": "application/json"}, method=method)
        with urlopen(request, timeout=20) as reply:  # the line's own address
            return orjson.loads(reply.read() or b"null")

    def requests(self) -> list[dict[str, Any]]:
        """All requests that the Klaviyo simulator got."""
        with urlopen(self.ready["klaviyo"] + "/sim/requests?since=0", timeout=20) as reply:
            return [orjson.loads(line) for line in reply.read().splitlines()]

    def fault(self, do: dict[str, Any], rate: float | None = None, **match: Any) -> str:
        """Put a fault in force at Klaviyo; its id."""
        asked = {"match": match, "do": do, "rate": rate, "seed": 1}
        made: str = self.ask("klaviyo", "/sim/faults", asked)["id"]
        return made

    def heal(self, fault: str) -> None:
        """Lift it."""
        self.ask("klaviyo", f"/sim/faults/{fault}", method="DELETE")

    def events(self) -> list[dict[str, Any]]:
        """What Klaviyo recorded of ours, each once: a repeated request leaves one record."""
        events = [event for event in self.ask("klaviyo", "/sim/events")["data"] if event["unique_id"]]
        times = Counter((event["account"], event["unique_id"]) for event in events)
        assert [each for each, count in times.items() if count > 1] == []
        return events

    def profiles(self) -> list[dict[str, Any]]:
        """Klaviyo's profiles; no email is of two."""
        profiles: list[dict[str, Any]] = self.ask("klaviyo", "/sim/profiles")["data"]
        times = Counter((row["account"], row["email"]) for row in profiles if row["email"])
        assert [each for each, count in times.items() if count > 1] == []
        return profiles

    def forwarded(self) -> list[dict[str, Any]]:
        """What Segment recorded; no messageId twice."""
        events: list[dict[str, Any]] = self.ask("segment", "/sim/events")["data"]
        times = Counter((event["account"], event["messageId"]) for event in events)
        assert [each for each, count in times.items() if count > 1] == []
        return events

    def decoded(self, topic: str, schema: str) -> list[dict[str, Any]]:
        """All committed records of a topic, in the order of each partition."""
        reader, registry = Reader(self.config.kafka.client()), Registry.of(self.config)
        places = reader.places([self.config.prefix + topic])
        starts, ends = reader.starts(places), reader.ends(places)
        reader.settle(ends)
        batches = reader.read([Range(*place, starts[place], ends[place]) for place in places])
        values = [value for batch in batches for each in batch if (value := each.value()) is not None]
        registry.learn_sync(values)
        decode = registry.codec(schema).decode
        return [decode(value) for value in values]

    def every_operation_arrived(self) -> None:
        """Klaviyo recorded each event that route made but for dead letters, and nothing else."""
        asked = {(op["account"], op["op_id"]) for op in self.decoded("klaviyo.events", "operation")}
        dead = {(letter["account"], letter["delivery_id"]) for letter in self.dead_letters()}
        assert {(event["account"], event["unique_id"]) for event in self.events()} == asked - dead

    def order_was_kept(self) -> None:
        """Each profile's events were recorded in the order in which they left route."""
        place = {op["op_id"]: n for n, op in enumerate(self.decoded("klaviyo.events", "operation"))}
        last: dict[tuple[str, str], int] = {}
        for event in self.events():
            now, who = place[event["unique_id"]], (event["account"], event["profile_id"])
            assert last.get(who, -1) < now, event
            last[who] = now

    def nothing_was_lost_or_doubled(self, accepted: int, engaged: int = 0) -> None:
        """All that was accepted, and so much engagement, went through once and in order."""
        eventually(lambda: self.look()["engagement"]["in"] >= engaged)
        report = self.drained(90)
        assert report["accepted"] >= accepted
        assert report["delivered"] > 100
        assert len(self.forwarded()) == engaged
        self.every_operation_arrived()
        self.order_was_kept()

    def of_account(self, account: str) -> list[dict[str, Any]]:
        """Events that Klaviyo recorded for one account."""
        return [event for event in self.events() if event["account"] == account]

    def send(self, messages: Iterable[Message], **how: Any) -> Counts:
        """Send messages until each is answered; fails if one is refused."""
        counts = asyncio.run(_send(self, messages, **how))
        assert counts.refused == 0, counts.statuses
        return counts

    @contextmanager
    def sending(self, messages: Iterable[Message], **how: Any) -> Iterator[Sending]:
        """The same meanwhile; at the end all are answered."""
        seen = Sending(Counts())
        with ThreadPoolExecutor(1) as pool:
            seen.result = pool.submit(self.send, messages, progress=seen.note, **how)
            yield seen
            seen.counts = seen.result.result()

    def engage(self, people: int, times: int = 1) -> int:
        """So many people that Klaviyo has open an email so many times; how many there were."""
        emails = sorted(row["email"] for row in self.profiles() if row["email"])[:people]
        for email in emails:
            told = {"account": "acme", "email": email, "metric": "Opened Email", "n": times}
            self.ask("klaviyo", "/sim/engage", told)
        return len(emails) * times


def _clean(report: dict[str, Any]) -> dict[str, Any]:
    """The report; fails if anything is missing, or if its sums do not add up."""
    shown = {name: value for name, value in report.items() if name not in ("dead_letters", "budget")}
    back = report["engagement"]
    assert report["unaccounted"] == back["unaccounted"] == 0, shown
    assert sum(report[state] for state in STATES) == report["accepted"], shown
    assert sum(count for name, count in back.items() if name != "in") == back["in"], shown
    return report


def _idle(report: dict[str, Any]) -> dict[str, Any]:
    assert report["in_flight"] == report["engagement"]["in_flight"] == 0, report
    return report


async def _send(line: Whole, messages: Iterable[Message], **how: Any) -> Counts:
    return await send(
        line.ready["gateway"],
        how.pop("write_key", "web"),
        messages,
        webhook=Webhook("web", "web-secret"),
        **how,
    )
