"""What tests of running stages share: a configuration on the test stack, records in, records out."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Message, Producer

from streams.config import Config, load
from streams.engine import admin, schemas
from streams.engine.partition import partition_of
from streams.engine.reading import Range, Reader
from streams.engine.registry import Registry
from streams.local.stack import Stack
from streams.segment.envelope import Envelope, event_uid, typed_identifier

SHOP = """
accounts:
  acme:
    klaviyo: {api_key: pk_acme, webhook_secret: webhook-secret-acme}
    segment: {write_key: segment-acme}
sources:
  web: {accounts: [acme], write_key: web, webhook_secret: web-secret}
rules:
  - {when: 'type = "identify"', do: profile}
  - {when: 'type = "track"', do: event}
"""
PIPELINE = SHOP + "partitions: 4\nreplication: 1\nmin_insync: 1\n"


class Bench:
    """A pipeline of its own on the shared broker: nothing of it runs unless a test starts it."""

    def __init__(self, stack: Stack, prefix: str, folder: Path, text: str = PIPELINE) -> None:
        self.file = folder / "pipeline.yaml"
        self.file.write_text(text)
        self.env = {
            "STREAMS_KAFKA_BOOTSTRAP": stack.kafka,
            "STREAMS_REGISTRY_URL": stack.registry,
            "STREAMS_PREFIX": prefix,
            "STREAMS_DATA": str(folder / "state"),
            "STREAMS_GATEWAY_ADMIN_PORT": "0",
            "STREAMS_GATEWAY_PORT": "0",
        }
        self.folder = folder
        self.config: Config = load(self.file, self.env)
        schemas.register(self.config, lambda _: None)
        admin.apply(self.config, lambda _: None)
        self.registry = Registry.of(self.config)

    def worker(self, stage: str, *more: str) -> "subprocess.Popen[bytes]":
        """Start a stage as its own process, its log beside the state."""
        command = [sys.executable, "-m", "streams", "worker", stage, "--config", str(self.file), *more]
        with (self.folder / f"{stage}.log").open("ab") as log:
            return subprocess.Popen(command, env=os.environ | self.env, stdout=log, stderr=log)

    def accept(self, envelopes: Iterable[Envelope], topic: str = "segment.events") -> int:
        """Put envelopes into ``segment.events``, or its twin, as the gateway does."""
        self.registry.ready_sync("segment.events")
        encode = self.registry.codec("envelope").encode
        producer = Producer(self.config.kafka.client() | {"acks": "all", "linger.ms": 20})
        count = 0
        for envelope in envelopes:
            identifier = typed_identifier(
                envelope["user_id"], envelope["anonymous_id"], envelope["email"], envelope["phone"]
            )
            key = f"{envelope['space']}\0{identifier}".encode()
            partition = partition_of(key, self.config.partitions)
            producer.produce(self.config.prefix + topic, encode(envelope), key, partition)
            producer.poll(0)
            count += 1
        assert producer.flush(30) == 0
        return count

    def read(self, topic: str) -> list[Message]:
        """All committed records of a topic now."""
        reader = Reader(self.config.kafka.client())
        places = reader.places([self.config.prefix + topic])
        starts, ends = reader.starts(places), reader.ends(places)
        reader.settle(ends)
        ranges = [Range(*place, starts[place], ends[place]) for place in places]
        return [message for batch in reader.read(ranges) for message in batch]

    def reached(self, topic: str, count: int) -> bool:
        """Whether a topic has so many committed records; they are read only once its ends allow for them."""
        reader = Reader(self.config.kafka.client())
        places = reader.places([self.config.prefix + topic])
        room = sum(reader.stable(places).values()) - sum(reader.starts(places).values())
        return room >= count and len(self.read(topic)) >= count

    def decoded(self, topic: str, schema: str) -> list[dict[str, Any]]:
        """The same, decoded."""
        values = [value for message in self.read(topic) if (value := message.value()) is not None]
        self.registry.learn_sync(values)
        decode = self.registry.codec(schema).decode
        return [decode(value) for value in values]


def track(
    number: int, *, user_id: str | None = None, anonymous_id: str | None = None, **more: Any
) -> Envelope:
    """One Order Completed by a person."""
    now = int(time.time() * 1000)
    body = b'{"type":"track","event":"Order Completed","messageId":"m%d","properties":{"total":%d}}' % (
        number,
        number,
    )
    event_id = f"m{number}"
    identifier = typed_identifier(user_id, anonymous_id, more.get("email"), None) or ""
    envelope = Envelope(
        uid=event_uid("acme", identifier, event_id, body),
        space="acme",
        accepted_at=now,
        event_id=event_id,
        type="track",
        name="Order Completed",
        user_id=user_id or "",
        anonymous_id=anonymous_id or "",
        email="",
        phone="",
        country="",
        previous_id="",
        time=now,
        source="web",
        trace_id="t",
        body=body,
    )
    return envelope | more  # type: ignore[return-value]


def eventually(check: Callable[[], Any], timeout_s: float = 60.0) -> Any:
    """The first true answer of ``check``; fails with the last one after the time-out."""
    deadline = time.monotonic() + timeout_s
    while not (answer := check()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {answer!r}"
        time.sleep(0.05)
    return answer


@contextmanager
def running(bench: Bench, *stages: str) -> Iterator[dict[str, "subprocess.Popen[bytes]"]]:
    """Stages as processes; whichever run at the end are told to stop and must end well."""
    workers = {stage: bench.worker(stage) for stage in stages}
    try:
        yield workers
    finally:
        for worker in workers.values():
            worker.send_signal(signal.SIGTERM)
        codes = {stage: worker.wait(20) for stage, worker in workers.items()}
    assert codes == dict.fromkeys(codes, 0)


def kill_at_random(
    bench: Bench,
    workers: dict[str, "subprocess.Popen[bytes]"],
    kills: int,
    seed: int,
    done: Callable[[], bool],
) -> int:
    """kill -9 of a random stage at random moments, each started again at once; how often it struck."""
    chance = random.Random(seed)
    struck = 0
    while struck < kills and not done():
        pause = time.monotonic() + chance.uniform(0.8, 3.0)
        eventually(lambda until=pause: time.monotonic() > until)  # type: ignore[misc]
        stage = chance.choice(sorted(workers))
        workers[stage].kill()
        workers[stage].wait()
        workers[stage] = bench.worker(stage)
        struck += 1
    return struck
