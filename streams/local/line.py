"""``streams dev``: the whole line on this machine, against simulators only."""

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any, Final

import aiohttp

from streams import wiring
from streams.config import Config, load
from streams.engine import admin, schemas
from streams.engine.errors import Away
from streams.engine.reach import reach
from streams.engine.supervisor import Supervisor
from streams.engine.telemetry import log
from streams.local import stack
from streams.local.addresses import Addresses, environment, simulated
from streams.local.watch import watch

PARENT: Final = "STREAMS_PARENT_PIPE"
START_S: Final = 60.0


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
    watching: "asyncio.Task[None] | None" = None

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

    def write_shell(self) -> Path:
        """A file that sets the line's variables in a shell; no secret of the user's is in it."""
        file = Path(self.env["STREAMS_DATA"]) / "env.sh"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"export {name}={quote(value)}\n" for name, value in self.env.items()))
        return file


def prepare(file: Path, *, fresh: bool, port_base: int | None, folder: Path | None = None) -> Line:
    """Bring up the stack, or take the one that the environment names; apply topics and schemas.

    Nothing else runs yet. A named stack is somebody else's: it is neither started, stopped nor emptied. The
    state lies in STREAMS_DATA, else beside the stack; with a ``folder`` of one's own always there.
    """
    state = os.environ.get("STREAMS_DATA") if folder is None else None
    folder = (folder or stack.default_folder()).absolute()
    data = Path(state) if state else folder.parent / "dev"
    named = _named(folder)
    if fresh and named is None:
        stack.down(folder)
        shutil.rmtree(folder, ignore_errors=True)
    if fresh:
        for stage in wiring.ORDER:  # never all of a folder that is not ours alone
            shutil.rmtree(data / stage, ignore_errors=True)
    before = named or stack.status(folder)[0]
    at_sigterm = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        found = named or stack.up(
            folder, say=lambda text: log.info("stack", says=text.removeprefix("stack: "))
        )
        addresses = Addresses.choose(port_base)
        env = environment(file, found, addresses, data)
        config = load(file, os.environ | env)
        reach(config.kafka.client())
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
    played = simulated(line.config, line.addresses)
    commands = {
        **{part: [*streams, *_simulate(line, part, told)] for part, told in played.items()},
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


async def stop(line: Line) -> None:
    """End what was started; the stack too, if it was not there before."""
    if line.watching is not None:
        line.watching.cancel()
    await line.supervisor.stop()
    if line.watching is not None:
        await asyncio.gather(line.watching, return_exceptions=True)
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
            if line.stack.pids:  # else somebody named it, and it may run anywhere
                line.watching = asyncio.create_task(watch(line))
            failed = asyncio.create_task(line.supervisor.failed())
            waits = {failed, asyncio.create_task(told.wait())}
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return 0 if told.is_set() else failed.result()
        finally:
            starting.cancel()
            await stop(line)


def announce(line: Line) -> None:
    """READY, on stdout and in the ready file; on stderr how a person goes on from here."""
    shell = line.write_shell()
    print("READY " + json.dumps(line.ready()), flush=True)  # the one line others wait for
    line.write_ready()
    says = f"in another terminal, every command works on this line after: . {quote(str(shell))}"
    log.info("ready", gateway=line.addresses.url("gateway"), klaviyo=line.addresses.url("klaviyo"), says=says)
