"""Accepted to delivered: a steady trickle through the gateway, every stage and the simulator."""

import asyncio
import os
import time

import aiohttp

from streams.ledger.audit import Auditor
from streams.ledger.tally import percentile
from streams.local import line as whole
from tests.bench.place import Place, pipeline, say
from tests.bench.results import Measured
from tests.bench.sender import message

RATE = 50
SECONDS = 20
PATIENCE_S = 60


def run(place: Place) -> list[Measured]:
    """Latency of each event from the outcomes, as the audit has it."""
    folder = place.folder / "e2e"
    folder.mkdir()
    file = folder / "pipeline.yaml"
    file.write_text(pipeline(1))
    named = {
        "STREAMS_KAFKA_BOOTSTRAP": place.stack.kafka,
        "STREAMS_REGISTRY_URL": place.stack.registry,
        "STREAMS_PREFIX": "e2e.",
        "STREAMS_DATA": str(folder / "state"),
    }
    before = {name: os.environ.get(name) for name in named}
    os.environ |= named
    try:
        made = whole.prepare(file, fresh=False, port_base=None)
        runs = asyncio.run(_whole(made, place.turns))
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        place.delete("e2e.")
    return [
        Measured("e2e.p50", "ms", [percentile(run, 0.5) for run in runs]),
        Measured("e2e.p99", "ms", [percentile(run, 0.99) for run in runs]),
    ]


async def _whole(made: whole.Line, turns: int) -> list[list[float]]:
    try:
        await whole.start(made)
        auditor = Auditor(made.config)
        found: list[list[float]] = []
        for turn in range(turns):
            await _trickle(made.addresses.url("gateway"), turn)
            found.append(sorted((await _settled(auditor))[turn * RATE * SECONDS :]))
            say(f"e2e: {percentile(found[-1], 0.5):.0f} ms, 99 %: {percentile(found[-1], 0.99):.0f} ms")
        return found
    finally:
        await whole.stop(made)


async def _trickle(url: str, turn: int) -> None:
    """One event every 20 ms, by the clock, whether the one before is answered or not."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    calls = []
    async with aiohttp.ClientSession(auth=aiohttp.BasicAuth("web", "")) as http:
        for number in range(RATE * SECONDS):
            await asyncio.sleep(began + number / RATE - loop.time())
            body = message(turn * RATE * SECONDS + number)
            calls.append(asyncio.create_task(_post(http, url + "/v1/track", body)))
        await asyncio.gather(*calls)


async def _post(http: aiohttp.ClientSession, url: str, body: str) -> None:
    async with http.post(url, data=body) as reply:
        reply.raise_for_status()


async def _settled(auditor: Auditor) -> list[float]:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        report = await asyncio.to_thread(auditor.look)
        if not report.in_flight and not report.missing:
            return list(report.latencies)
        if time.monotonic() > deadline:
            raise RuntimeError(f"{report.in_flight} events are still on their way after {PATIENCE_S} s")
        await asyncio.sleep(0.5)
