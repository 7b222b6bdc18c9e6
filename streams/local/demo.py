"""``make demo``: a day of a shop through the whole line, and proof of what became of every event."""

import asyncio
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from streams.engine.telemetry import log
from streams.ledger.audit import Auditor
from streams.ledger.report import Report
from streams.ledger.summary import summary
from streams.local import line, stack
from streams.local.fetch import data_folder
from streams.local.line import Line
from streams.local.traffic import Counts, Webhook, generate, send

PIPELINE: Final = Path(__file__).with_name("demo.yaml")
RESULT: Final = Path("build/demo.json")
SEED: Final = 20260722
PEOPLE: Final = 6_000
EVENTS: Final = 21_000
ENGAGED: Final = 400
"""People whose engagement comes back, five kinds each now and then."""
METRICS: Final = ("Opened Email", "Clicked Email", "Bounced Email", "Marked Email as Spam", "Unsubscribed")
DRAIN_S: Final = 300.0
NO: Final = 1


@dataclass(slots=True)
class Seconds:
    """How long each part took."""

    setup: float = 0.0
    send: float = 0.0
    drain: float = 0.0


class Shown:
    """Progress on stderr: bars for a person, a plain line every few seconds for everything else."""

    PLAIN_S = 5.0

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._said = 0.0

    @contextmanager
    def part(self, name: str, total: int | None) -> Iterator["Part"]:
        """One bar."""
        if self._console.is_terminal:
            columns = (
                TextColumn("{task.description:<28}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
            )
            with Progress(*columns, console=self._console) as progress:
                task = progress.add_task(name, total=total)
                yield lambda done, of=None: progress.update(task, completed=done, total=of or total)
        else:
            began = time.monotonic()
            self._console.print(f"{name} …")

            def plain(done: int, of: int | None = None) -> None:
                if time.monotonic() - self._said >= self.PLAIN_S:
                    self._said = time.monotonic()
                    self._console.print(f"{name}: {done} of {of or total}")

            yield plain
            self._console.print(f"{name}: done after {time.monotonic() - began:.1f} s")


Part = Any
"""Called with how much is done, and of how much if that changed."""


def run(*, keep: bool, as_json: bool) -> int:
    """Run the demo.

    Returns:
        0 when every accepted event is accounted for, 1 when one is not.
    """
    shown, seconds = Shown(), Seconds()
    began = time.monotonic()
    folder = data_folder() / "demo"
    stack.down(folder / "stack")
    shutil.rmtree(folder, ignore_errors=True)
    with shown.part("broker, registry, topics", None):
        made = line.prepare(PIPELINE, fresh=False, port_base=None, folder=folder / "stack")
    made.owns_stack = True
    return asyncio.run(_run(made, shown, seconds, began, keep=keep, as_json=as_json))


async def _run(made: Line, shown: Shown, seconds: Seconds, began: float, *, keep: bool, as_json: bool) -> int:
    with line.told_to_stop() as told:
        try:
            work = asyncio.create_task(_demo(made, shown, seconds, began))
            stopped = asyncio.create_task(told.wait())
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
                return 130
            document = work.result()
            _tell(document, as_json=as_json)
            if keep:
                line.announce(made)
                await stopped
            return NO if document["unaccounted"] or document["engagement"]["unaccounted"] else 0
        finally:
            await line.stop(made)


async def _demo(made: Line, shown: Shown, seconds: Seconds, began: float) -> dict[str, Any]:
    with shown.part("gateway, stages, simulators", None):
        await line.start(made)
    seconds.setup = time.monotonic() - began
    began = time.monotonic()
    counts = await _send(made, shown)
    seconds.send = time.monotonic() - began
    began = time.monotonic()
    await _engage(made)
    report = await _drain(made, shown)
    seconds.drain = time.monotonic() - began
    document = report.document() | await _klaviyo(made)
    document["seconds"] = {name: round(getattr(seconds, name), 1) for name in ("setup", "send", "drain")}
    log.debug("sent", requests=counts.requests, retries=counts.retries)
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(document, indent=1, default=str) + "\n")
    return document


async def _send(made: Line, shown: Shown) -> Counts:
    start_ms = int(time.time() * 1000) - 3_600_000
    source = made.config.sources["web"]
    webhook = Webhook("web", source.webhook_secrets[0].get_secret_value())
    with shown.part("sending Segment's events", EVENTS) as progress:
        return await send(
            made.addresses.url("gateway"),
            source.write_keys[0].get_secret_value(),
            generate(SEED, PEOPLE, EVENTS, start_ms),
            webhook=webhook,
            progress=lambda counts: progress(counts.accepted),
        )


async def _engage(made: Line) -> None:
    """Klaviyo's own events, for people it has: its webhooks bring them to the gateway."""
    url = made.addresses.url("klaviyo")
    async with aiohttp.ClientSession(url) as http:
        emails: list[str] = []
        while len(emails) < ENGAGED // 4:
            async with http.get("/sim/profiles") as response:
                profiles = (await response.json())["data"]
            emails = sorted({p["email"] for p in profiles if p.get("email")})[:ENGAGED]
            await asyncio.sleep(0.5)
        for number, email in enumerate(emails):
            metric = METRICS[number % len(METRICS)]
            told = {"account": "acme", "email": email, "metric": metric, "n": 1 + number % 3}
            async with http.post("/sim/engage", json=told) as response:
                response.raise_for_status()


async def _drain(made: Line, shown: Shown) -> Report:
    auditor = Auditor(made.config)
    deadline = time.monotonic() + DRAIN_S
    with shown.part("delivering", None) as progress:
        while True:
            report = await asyncio.to_thread(auditor.look)
            total = sum(report.tally.accepted.values())
            progress(total - report.in_flight, total)
            if report.in_flight == 0 and not report.missing:
                return report
            if time.monotonic() > deadline:
                return report
            await asyncio.sleep(0.5)


async def _klaviyo(made: Line) -> dict[str, Any]:
    """What the simulator saw: each budget's use in its busiest minute, refusals for too many requests."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(made.addresses.url("klaviyo") + "/sim/stats") as response,
    ):
        stats = await response.json()
    budgets = {
        name: {"used": budget["most"], "limit": budget["limit"]} for name, budget in stats["budgets"].items()
    }
    return {"budget": budgets, "http_429": stats["http_429"]}


def _tell(document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(document, default=str))  # the result
        return
    took = document["seconds"]
    lines = ["", summary(document), ""]
    lines += [
        f"budget {name}: {use['used']} of {use['limit']} requests in the busiest minute"
        for name, use in sorted(document["budget"].items())
    ]
    lines.append(f"429: {document['http_429']}")
    lines += [
        f"a dead letter, {each['reason']}: {each['sample'].get('detail', '')[:160]}"
        for each in document["dead_letters"]
    ]
    lines.append(f"set-up {took['setup']} s, sending {took['send']} s, draining {took['drain']} s → {RESULT}")
    print("\n".join(lines))  # the result
