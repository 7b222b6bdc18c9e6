"""``streams dev``: the whole line on this machine, against simulators only."""

import asyncio
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import aiohttp

from streams import wiring
from streams.config import Config, load
from streams.engine import admin, schemas
from streams.engine.errors import Away, Misconfigured
from streams.engine.supervisor import Supervisor
from streams.engine.telemetry import log
from streams.local import ports, stack

PARENT: Final = "STREAMS_PARENT_PIPE"
START_S: Final = 60.0
PARTS: Final = ("gateway", "klaviyo", "segment", "admin")
SPAN: Final = len(PARTS) + len(wiring.ORDER)
"""Ports in a row: each part's, and behind the admin port one for each stage."""
WEBHOOK_ID: Final = "a8b890458b4bbfaa26d961471b83c101d6de23bd826e7e5173a15310985ec3cb"


def _all_free(base: int) -> bool:
    return all(ports.is_free(port) for port in range(base, base + SPAN))


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the parts of a line answer on this machine."""

    ports: dict[str, int]

    @classmethod
    def choose(cls, base: int | None) -> Self:
        """Ports in a row that are free, or those from ``base`` on.

        Raises:
            Misconfigured: a port from ``base`` on is taken.
        """
        if base is None:
            (base,) = next(found for _ in range(1000) if _all_free((found := ports.free(1))[0]))
        elif not _all_free(base):
            taken = [port for port in range(base, base + SPAN) if not ports.is_free(port)]
            raise Misconfigured(f"port {taken[0]} is taken: give another --port-base, or none for free ports")
        return cls({name: base + number for number, name in enumerate(PARTS)})

    def url(self, part: str) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.ports[part]}"


@dataclass
class Line:
    """A line that runs: stack, simulators, gateway and stages, with the environment that finds them."""

    config: Config
    file: Path
    env: dict[str, str]
    addresses: Addresses
    stack: stack.Stack
    owns_stack: bool
    supervisor: Supervisor = field(init=False)
    ready_file: Path | None = None

    def ready(self) -> dict[str, Any]:
        """What READY says."""
        pids: dict[str, list[int]] = dict(self.stack.pids)
        pids |= {name: [pid] for name, pid in self.supervisor.pids.items()}
        return {
            "gateway": self.addresses.url("gateway"),
            "admin": self.addresses.url("admin"),
            "health": None,
            "klaviyo": self.addresses.url("klaviyo"),
            "segment": self.addresses.url("segment"),
            "kafka": self.stack.kafka,
            "registry": self.stack.registry,
            "config": str(self.file.resolve()),
            "env": self.env,
            "pids": pids,
        }

    def write_ready(self) -> None:
        """Write the ready file anew: a restarted child has another process id."""
        if self.ready_file is not None:
            part = self.ready_file.with_suffix(".part")
            part.write_text(json.dumps(self.ready()))
            part.replace(self.ready_file)


def environment(file: Path, found: stack.Stack, addresses: Addresses, data: Path) -> dict[str, str]:
    """The variables with which every command works on this line, and none of them reaches Klaviyo or Segment.

    A variable that the file names and nobody set gets a stand-in: keys only have to be the simulators' own.
    """
    env = {
        "STREAMS_KAFKA_BOOTSTRAP": found.kafka,
        "STREAMS_REGISTRY_URL": found.registry,
        "STREAMS_PREFIX": os.environ.get("STREAMS_PREFIX", "dev."),
        "STREAMS_DATA": str(data.resolve()),
        "STREAMS_PARTITIONS": os.environ.get("STREAMS_PARTITIONS", "4"),
        "STREAMS_REPLICATION": "1",
        "STREAMS_MIN_INSYNC": "1",
        "STREAMS_GATEWAY_HOST": "127.0.0.1",
        "STREAMS_GATEWAY_PORT": str(addresses.ports["gateway"]),
        "STREAMS_GATEWAY_ADMIN_PORT": str(addresses.ports["admin"]),
    }
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    told = re.sub(r"(^|\s)#.*", "", text, flags=re.MULTILINE)  # comments name variables that nobody needs
    for name in re.findall(r"\$\{([A-Z][A-Z0-9_]*)\}", told):
        if name not in os.environ:
            env[name] = f"dev-{name.lower()}"
    for name, account in load(file, os.environ | env).accounts.items():
        variable = f"STREAMS_ACCOUNTS_{name.upper().replace('-', '_')}"
        env[f"{variable}_KLAVIYO_URL"] = addresses.url("klaviyo")
        if account.segment is not None:
            env[f"{variable}_SEGMENT_URL"] = addresses.url("segment")
    return env


def prepare(file: Path, *, fresh: bool, port_base: int | None, folder: Path | None = None) -> Line:
    """Bring up the stack, or take the one that the environment names; apply topics and schemas.

    Nothing else runs yet. A named stack is somebody else's: it is neither started, stopped nor emptied.
    """
    folder = folder or stack.default_folder()
    data = folder.parent / "dev"
    named = _named(folder)
    if fresh and named is None:
        stack.down(folder)
        shutil.rmtree(folder, ignore_errors=True)
    if fresh:
        shutil.rmtree(data, ignore_errors=True)
    before = named or stack.status(folder)[0]
    at_sigterm = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        found = named or stack.up(
            folder, say=lambda text: log.info("stack", says=text.removeprefix("stack: "))
        )
        addresses = Addresses.choose(port_base)
        env = environment(file, found, addresses, data)
        config = load(file, os.environ | env)
        schemas.register(config, lambda text: log.debug("schemas", says=text))
        admin.apply(config, lambda text: log.debug("topics", says=text))
    except BaseException:  # Ctrl-C, too: what was started for this line does not outlive it
        if before is None:
            stack.down(folder)
        raise
    finally:
        signal.signal(signal.SIGTERM, at_sigterm)
    return Line(config, file, env, addresses, found, owns_stack=before is None)


def _named(folder: Path) -> stack.Stack | None:
    kafka, registry = (os.environ.get(f"STREAMS_{name}") for name in ("KAFKA_BOOTSTRAP", "REGISTRY_URL"))
    if not kafka or not registry:
        return None
    return stack.Stack(kafka, registry, cluster_id="", pids={}, folder=folder)


async def start(line: Line) -> None:
    """Start simulators, gateway and stages, and wait until all answer.

    Raises:
        Away: something did not answer within a minute.
    """
    streams = [sys.executable, "-m", "streams"]
    config = ["--config", str(line.file)]
    commands = {
        **{part: [*streams, *_simulate(line, part, told)] for part, told in _simulated(line).items()},
        "gateway": [*streams, "gateway", *config],
        **{name: [*streams, "worker", name, *config] for name in wiring.ORDER},
    }
    line.supervisor = Supervisor(
        commands, PARENT, env=line.env, on_line=lambda _name, _line: None, on_change=line.write_ready
    )
    line.supervisor.start()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as http:
        await _until(http, line.addresses.url("klaviyo") + "/sim/stats", line)
        await _until(http, line.addresses.url("segment") + "/sim/stats", line)
        await _until(http, line.addresses.url("admin") + "/readyz", line)
        for number, _ in enumerate(wiring.ORDER, start=1):
            await _until(http, f"http://127.0.0.1:{line.addresses.ports['admin'] + number}/readyz", line)


async def _until(http: aiohttp.ClientSession, url: str, line: Line) -> None:
    failing = asyncio.create_task(line.supervisor.failed())
    try:
        async with asyncio.timeout(START_S):
            while not failing.done():
                try:
                    async with http.get(url) as response:
                        if response.status == 200:
                            return
                except (aiohttp.ClientError, TimeoutError):
                    pass
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise Away(f"{url} does not answer after {START_S:.0f} s; the log above says why") from None
    finally:
        failing.cancel()
    raise Away("a process of the line ended for good; the log above says why")


def _simulate(line: Line, part: str, settings: dict[str, Any]) -> list[str]:
    """The command of a simulator; its settings lie in a file, so that it has them whenever it starts."""
    file = Path(line.env["STREAMS_DATA"]) / f"{part}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(settings))
    return ["simulate", part, "--port", str(line.addresses.ports[part]), "--settings", str(file)]


def _simulated(line: Line) -> dict[str, dict[str, Any]]:
    """The simulators know the file's keys, and where webhooks go."""
    accounts = line.config.accounts
    klaviyo: dict[str, Any] = {
        "keys": {account.klaviyo.api_key.get_secret_value(): name for name, account in accounts.items()},
        "webhooks": {
            name: {
                "url": f"{line.addresses.url('gateway')}/klaviyo/{name}",
                "secret": account.klaviyo.webhook_secret.get_secret_value(),
                "id": WEBHOOK_ID,
            }
            for name, account in accounts.items()
            if account.klaviyo.webhook_secret is not None
        },
    }
    segment = {
        account.segment.write_key.get_secret_value(): name
        for name, account in accounts.items()
        if account.segment is not None
    }
    return {"klaviyo": klaviyo, "segment": {"keys": segment}}


async def stop(line: Line) -> None:
    """End what was started; the stack too, if it was not there before."""
    await line.supervisor.stop()
    if line.owns_stack:
        await asyncio.to_thread(stack.down, line.stack.folder)


@contextmanager
def told_to_stop() -> Iterator[asyncio.Event]:
    """An event that SIGINT and SIGTERM set."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        loop.add_signal_handler(number, told.set)
    try:
        yield told
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def dev(file: Path, *, fresh: bool, port_base: int | None, ready_file: Path | None) -> int:
    """Run the line until Ctrl-C or SIGTERM; prints READY when everything answers."""
    try:
        line = prepare(file, fresh=fresh, port_base=port_base)
    except KeyboardInterrupt:
        return 0
    return asyncio.run(_dev(line, ready_file))


async def _dev(line: Line, ready_file: Path | None) -> int:
    with told_to_stop() as told:
        starting = asyncio.create_task(start(line))
        try:
            await asyncio.wait(
                {starting, asyncio.create_task(told.wait())}, return_when=asyncio.FIRST_COMPLETED
            )
            if told.is_set():
                return 0
            await starting
            line.ready_file = ready_file  # not before: who finds the file relies on the answer
            announce(line)
            failed = asyncio.create_task(line.supervisor.failed())
            waits = {failed, asyncio.create_task(told.wait())}
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return 0 if told.is_set() else failed.result()
        finally:
            starting.cancel()
            await stop(line)


def announce(line: Line) -> None:
    """READY, on stdout and in the ready file."""
    print("READY " + json.dumps(line.ready()), flush=True)  # the one line others wait for
    line.write_ready()
