"""A topic as Segment's Kafka destination writes it, beside a line, and bridges between them."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import orjson
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from streams.commands.options import PARENT
from streams.engine.errors import Away
from streams.local.stack import Stack
from tests.line import Bench, eventually

PARTITIONS = 3


class Crossings:
    """A foreign topic beside a line, and bridges between them."""

    def __init__(self, stack: Stack, prefix: str, folder: Path) -> None:
        self.bench = Bench(stack, prefix, folder)
        self.topic = f"{prefix}foreign"
        self.kafka = stack.kafka
        self.log = folder / "bridge.log"
        self._pipes: list[int] = []
        admin = AdminClient({"bootstrap.servers": stack.kafka})
        for made in admin.create_topics([NewTopic(self.topic, PARTITIONS, 1)]).values():
            made.result(timeout=10)

    def write(self, values: list[bytes | None]) -> None:
        producer = Producer({"bootstrap.servers": self.kafka, "linger.ms": 20})
        for n, value in enumerate(values):
            producer.produce(self.topic, value, partition=n % PARTITIONS)
            producer.poll(0)
        assert producer.flush(30) == 0

    def start(self, *words: str, alone: bool = False) -> "subprocess.Popen[bytes]":
        """A bridge; alone: the process that bridges, without the one that starts it again."""
        command = [
            sys.executable,
            "-m",
            "streams",
            "bridge",
            "--source",
            "web",
            "--topic",
            self.topic,
            *words,
        ]
        ours, theirs = os.pipe()  # closes with the test: whoever has a parent's pipe bridges by itself
        env = os.environ | self.bench.env | ({PARENT: str(ours)} if alone else {})
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                [*command, "--config", str(self.bench.file)], env=env, stderr=log, pass_fds=(ours,)
            )
        os.close(ours)
        self._pipes.append(theirs)
        return child

    def close(self) -> None:
        for pipe in self._pipes:
            os.close(pipe)

    def pid(self) -> int:
        """Of the process that bridges, the last one that was started."""
        return int(re.findall(r"bridge_started .*pid=(\d+)", self.log.read_text())[-1])

    def ask(self, path: str) -> tuple[int, str]:
        """What the admin port of the last bridge says."""
        url = re.findall(r"admin url=(\S+)", self.log.read_text())[-1]
        try:
            with urlopen(url + path, timeout=5) as reply:
                return reply.status, reply.read().decode()
        except HTTPError as refused:
            return refused.code, refused.read().decode()
        except URLError:
            return 0, ""

    @contextmanager
    def running(self, *words: str) -> "Iterator[subprocess.Popen[bytes]]":
        child = self.start(*words)
        try:
            yield child
            stopped(child)
        finally:
            child.kill()
            child.wait()

    def event_ids(self) -> list[str]:
        return [event["event_id"] for event in self.bench.decoded("segment.events", "envelope")]

    def until(self, count: int, timeout_s: float = 60) -> None:
        def crossed() -> bool:
            try:
                return self.bench.reached("segment.events", count)
            except Away:  # a broker that has just been started again
                return False

        eventually(crossed, timeout_s)

    def says(self, text: str, times: int = 1) -> None:
        eventually(lambda: self.log.read_text().count(text) >= times)


def stopped(child: "subprocess.Popen[bytes]") -> None:
    """It ends well, within 5 s."""
    asked = time.monotonic()
    child.send_signal(signal.SIGTERM)
    assert child.wait(10) == 0
    assert time.monotonic() - asked < 5


def page(number: int, **more: Any) -> bytes:
    message = {"type": "page", "messageId": f"m{number}", "userId": f"u{number % 7}", "integrations": {}}
    return orjson.dumps(message | more)
