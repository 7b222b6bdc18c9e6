"""Where benchmarks run: one stack in a folder of its own, and for each run a line of its own on it."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from streams.local.stack import Stack
from tests.line import Bench

PARTITIONS = 4
TICKS = os.sysconf("SC_CLK_TCK")
APPENDED = {"message.timestamp.type": "LogAppendTime"}
"""The broker dates what is written here: throughput is read off the log, by no process's own clock."""


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def pipeline(spaces: int, klaviyo: str | None = None) -> str:
    """A configuration of so many spaces, ``s0`` and on, with one account each."""
    url = f", url: '{klaviyo}'" if klaviyo else ""
    accounts = "\n".join(f"  s{n}: {{klaviyo: {{api_key: pk_s{n}{url}}}}}" for n in range(spaces))
    names = ", ".join(f"s{n}" for n in range(spaces))
    return f"""
accounts:
{accounts}
sources:
  web: {{accounts: [{names}], write_key: web}}
rules:
  - {{when: 'type = "identify"', do: profile}}
  - {{when: 'type = "track"', do: event}}
partitions: {PARTITIONS}
replication: 1
min_insync: 1
"""


@dataclass
class Place:
    """The stack, and room for what runs leave behind."""

    stack: Stack
    folder: Path
    turns: int
    """How often each row is measured; the median counts."""

    def __post_init__(self) -> None:
        self._numbers = count(1)
        self.admin = AdminClient({"bootstrap.servers": self.stack.kafka, "log_level": 0})

    def name(self, kind: str) -> str:
        """A name that no other run has."""
        return f"{kind}{next(self._numbers)}"

    @contextlib.contextmanager
    def line(self, kind: str, text: str) -> Iterator[Bench]:
        """Topics, schemas and a folder; all of it goes afterwards."""
        name = self.name(kind)
        folder = self.folder / name
        folder.mkdir()
        try:
            yield Bench(self.stack, f"{name}.", folder, text)
        finally:
            self.delete(f"{name}.")
            shutil.rmtree(folder, ignore_errors=True)

    def topics(self, partitions: dict[str, int], **settings: str) -> None:
        """Create topics: name → partitions."""
        made = [NewTopic(name, n, 1, config=settings) for name, n in partitions.items()]
        for future in self.admin.create_topics(made).values():
            future.result(timeout=30)

    def stamp(self, *topics: str) -> None:
        """Let the broker's clock date what is appended to these topics."""
        entries = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
            for name, value in APPENDED.items()
        ]
        wanted = [ConfigResource(ResourceType.TOPIC, t, incremental_configs=entries) for t in topics]
        for future in self.admin.incremental_alter_configs(wanted).values():
            future.result(timeout=30)

    def delete(self, prefix: str) -> None:
        """Delete the topics that begin so."""
        with contextlib.suppress(KafkaException):
            names = [name for name in self.admin.list_topics(timeout=10).topics if name.startswith(prefix)]
            for future in self.admin.delete_topics(names).values() if names else ():
                future.result(timeout=30)


@contextlib.contextmanager
def process(
    command: list[str], log: Path, env: dict[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """A child with its stdout ours to read and its stderr in a file; told to stop at the end."""
    with log.open("ab") as file:
        child = subprocess.Popen(command, env=os.environ | (env or {}), stdout=subprocess.PIPE, stderr=file)
    try:
        yield child
    finally:
        stop(child)


def stop(child: "subprocess.Popen[Any]") -> None:
    """SIGTERM, and SIGKILL for who does not hear it."""
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def cpu_seconds(pid: int) -> float:
    """What a process has used so far, in both modes."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
