"""A gateway process of its own on the real stack."""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from streams.config import Config, loads
from streams.engine import admin, schemas
from streams.engine.registry import Registry
from streams.engine.topics import full
from streams.local.stack import Stack

_PROGRAM = """
import json, sys, uvloop
from streams.config import load
from streams.gateway.server import run
uvloop.run(run(load(sys.argv[1], {}), ready=lambda urls: print(json.dumps(urls), flush=True)))
"""
_PIPELINE = """
prefix: {prefix}
partitions: 3
replication: 1
kafka: {{bootstrap: "{kafka}"}}
registry: {{url: "{registry}"}}
gateway: {{port: 0, admin_port: 0}}
accounts:
  acme: {{klaviyo: {{api_key: pk, webhook_secret: ks}}}}
sources:
  web: {{accounts: [acme], write_key: wk, webhook_secret: ws}}
rules:
  - {{when: 'type = "identify"', do: profile}}
"""


def pipeline(stack: Stack, prefix: str, *, registry: str = "") -> str:
    return _PIPELINE.format(prefix=prefix, kafka=stack.kafka, registry=registry or stack.registry)


def prepared(text: str) -> Config:
    """Register and create what a gateway needs."""
    config = loads(text, "pipeline.yaml", {})
    schemas.register(config, lambda _line: None)
    admin.apply(config, lambda _line: None)
    return config


@dataclass
class Process:
    urls: dict[str, str]
    child: asyncio.subprocess.Process


@contextlib.asynccontextmanager
async def started(folder: Path, text: str) -> AsyncIterator[Process]:
    file = folder / "pipeline.yaml"
    file.write_text(text)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PROGRAM, str(file), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    try:
        async with asyncio.timeout(60):
            line = await child.stdout.readline()
        yield Process(json.loads(line), child)
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


def committed(config: Config, topic: str) -> list[dict[str, Any]]:
    """Every committed record of a topic, decoded."""
    schema = {"segment.events": "envelope", "dead.letters": "dead_letter", "klaviyo.engagement": "engagement"}
    registry = Registry.of(config)
    consumer = Consumer({**config.kafka.client(), "group.id": "t", "enable.auto.commit": "false"})
    name = full(config.prefix, topic)
    values: list[bytes] = []
    try:
        for partition in consumer.list_topics(name, timeout=10).topics[name].partitions:
            at = TopicPartition(name, partition, 0)
            _, end = consumer.get_watermark_offsets(at, timeout=10)
            consumer.assign([at])
            got, until = 0, time.monotonic() + 60
            while got < end:
                batch = consumer.consume(1000, timeout=1)
                assert time.monotonic() < until, "the log does not end where it says"
                got += len(batch)
                values += [message.value() or b"" for message in batch]
    finally:
        consumer.close()
    registry.learn_sync(values)
    return [registry.codec(schema[topic]).decode(value) for value in values]
