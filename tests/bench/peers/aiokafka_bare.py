"""``python -m tests.bench.peers.aiokafka_bare CONFIG RECORDS``: aiokafka's own loop, and nothing else."""

import json
import os
import sys
import time
from pathlib import Path

import aiokafka
import uvloop

from streams.config import load
from streams.engine.fetching import FETCH_BYTES
from streams.engine.inbox import BATCH_RECORDS


async def read(topic: str, bootstrap: str, left: int) -> None:
    """Read so many records, with the shipped consumer's own settings."""
    consumer = aiokafka.AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        max_poll_records=BATCH_RECORDS,
        max_partition_fetch_bytes=FETCH_BYTES,
    )
    first: tuple[float, int] | None = None
    async with consumer:
        while left > 0:
            left -= sum(map(len, (await consumer.getmany(timeout_ms=500)).values()))
            first = first or (time.monotonic(), left)
    began, records = first or (0.0, 0)
    print(json.dumps([time.monotonic() - began, records]), flush=True)


if __name__ == "__main__":
    config = load(Path(sys.argv[1]), os.environ)
    uvloop.run(read(config.prefix + "segment.events", config.kafka.bootstrap, int(sys.argv[2])))
