"""Deliver: one account's events to the simulator, with Klaviyo's rate limits out of the way on both sides."""

import asyncio
import json
import subprocess
import sys
import time
from contextlib import ExitStack
from hashlib import blake2b
from typing import Any

import aiohttp
import orjson

from streams.engine.reading import Reader
from streams.engine.slots import Slots
from tests.bench import load
from tests.bench.appended import Pace, pace
from tests.bench.place import Place, pipeline, process, say
from tests.bench.results import Measured, paced
from tests.bench.wide import WIDE
from tests.line import Bench

EVENTS = 20_000
PEOPLE = 5_000


def run(place: Place) -> list[Measured]:
    """Operations a second, by their outcomes: one an operation."""
    runs: list[Pace] = []
    for _ in range(place.turns):
        with ExitStack() as ends:
            simulate = [sys.executable, "-m", "streams", "simulate", "klaviyo"]
            url = asyncio.run(_simulator(ends.enter_context(process(simulate, place.folder / "klaviyo.log"))))
            line = ends.enter_context(place.line("deliver", pipeline(1, url)))
            _fill(line)
            output = line.config.prefix + "outcomes"
            place.stamp(output)
            wide = [sys.executable, "-m", "tests.bench.wide", str(line.file)]
            worker = ends.enter_context(process(wide, line.folder / "deliver.log", line.env))
            runs.append(pace(Reader(line.config.kafka.client()), output, EVENTS, EVENTS, [worker]))
            say(f"deliver.streams: {runs[-1]}")
    return paced("deliver.streams", runs)


async def _simulator(child: "subprocess.Popen[bytes]") -> str:
    """Its URL, once it knows the key and the wide limits."""
    assert child.stdout is not None
    url: str = json.loads(child.stdout.readline().removeprefix(b"READY "))["klaviyo"]
    budgets = {name: {"burst": limit.burst, "steady": limit.steady} for name, limit in WIDE.items()}
    async with aiohttp.ClientSession() as http:
        settings = {"keys": {"pk_s0": "s0"}, "budgets": budgets}
        async with http.put(url + "/sim/config", json=settings) as reply:
            reply.raise_for_status()
    return url


def _fill(line: Bench) -> None:
    line.registry.ready_sync("klaviyo.events")
    codec = line.registry.codec("operation")
    slot = Slots.read(line.config).account("s0")
    rows = [(slot, b"s0", codec.encode(operation(n))[5:]) for n in range(EVENTS)]
    load.fill(line.config, line.config.prefix + "klaviyo.events", codec.frame, rows)


def operation(n: int) -> dict[str, Any]:
    """One event of one of the people."""
    now = int(time.time() * 1000)
    properties = {"OrderId": f"o{n}", "Items": [{"ProductName": "Shirt", "Price": 19.5}], "Note": "x" * 500}
    origin = {
        "line": "events",
        "space": "s0",
        "partition": 0,
        "offset": n,
        "accepted_at": now,
        "replay": None,
    }
    return {
        "op_id": blake2b(f"{n}".encode(), digest_size=16).hexdigest(),
        "account": "s0",
        "kind": "event",
        "origin": origin,
        "event_id": f"m{n}",
        "profile": {
            "id": f"p{n % PEOPLE}",
            "email": f"person{n % PEOPLE}@shop.example",
            "phone": None,
            "user_id": f"u{n % PEOPLE}",
            "anonymous_ids": [],
        },
        "time": now,
        "backfill": False,
        "payload": orjson.dumps({"metric": "Placed Order", "properties": properties, "value": 19.5}),
    }
