"""The gateway's process: learns what it must, listens, drains."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from aiohttp import web

from streams.config import Config
from streams.engine.errors import Away
from streams.engine.registry import Registry
from streams.engine.slots import Slots
from streams.engine.telemetry import log
from streams.engine.topics import full
from streams.engine.waiting import patiently
from streams.gateway import doors
from streams.gateway.app import Gateway, State
from streams.gateway.connection import Server
from streams.gateway.metrics import Metrics
from streams.gateway.publish import Publisher
from streams.gateway.records import DEAD_LETTERS, ENGAGEMENT, EVENTS, Encoders
from streams.segment import plan_files

Ready = Callable[[dict[str, str]], None]
_DRAIN_S = 2.0
"""What is not acknowledged by then is answered 503, so that the process ends within 5 s."""


async def run(config: Config, *, ready: Ready | None = None, reuse_port: bool = False) -> None:
    """Run until SIGTERM or SIGINT.

    Args:
        config: the whole configuration.
        ready: called once with ``{"gateway": URL, "admin": URL}`` when both ports answer; events are accepted
            once ``/readyz`` says so.
        reuse_port: share the public port with other gateway processes.

    Raises:
        ConfigError: a contract can't be used.
        Misconfigured: a schema is not registered, or a space has no slot.
        Away: a port is taken.
    """
    stop = _stop_signal()
    publisher = Publisher(
        config.kafka.client(), partial(full, config.prefix), config.gateway.max_in_flight_bytes
    )
    state, limits = State(), config.gateway
    gateway, metrics = _gateway(config, publisher, state)
    server = Server(
        gateway.handle, header_timeout_s=limits.header_timeout_s, idle_timeout_s=limits.idle_timeout_s
    )
    public = web.ServerRunner(server, shutdown_timeout=_DRAIN_S)
    admin = web.AppRunner(_admin(state, metrics, publisher), access_log=None, shutdown_timeout=0.1)
    publisher.start()
    try:
        urls = {
            "gateway": await _listen(public, limits.host, limits.port, reuse_port=reuse_port),
            "admin": await _listen(admin, limits.host, limits.admin_port, reuse_port=False),
        }
        log.info("listening", pid=os.getpid(), **urls)
        if ready is not None:
            ready(urls)
        await _until_stopped(stop, _learn(config, state))
    finally:
        asyncio.get_running_loop().call_later(_DRAIN_S * 0.8, publisher.give_up)
        await public.cleanup()
        await publisher.close()
        await admin.cleanup()


def _gateway(config: Config, publisher: Publisher, state: State) -> tuple[Gateway, Metrics]:
    plan = plan_files.load(config)
    metrics = Metrics(plan.warned)
    gateway = Gateway(
        doors.from_config(config),
        config.gateway,
        partitions=config.partitions,
        sink=publisher,
        state=state,
        metrics=metrics,
        plan=None if plan.idle else plan,
    )
    return gateway, metrics


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _until_stopped(stop: asyncio.Event, learn: Coroutine[Any, Any, None]) -> None:
    """Learn, then wait for a signal; a signal ends learning, an error of it ends the process."""
    learning, stopping = asyncio.create_task(learn), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((learning, stopping), return_when=asyncio.FIRST_COMPLETED)
        if learning.done():
            await learning
            await stopping
    finally:
        learning.cancel()
        stopping.cancel()


async def _listen(runner: web.BaseRunner, host: str, port: int, *, reuse_port: bool) -> str:
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, reuse_port=reuse_port or None).start()
    except OSError as error:
        raise Away(
            f"can't listen on {host}:{port}: {error.strerror or error}; is another gateway there? Set "
            "`gateway.port`, `gateway.admin_port`, or share the port with --reuse-port"
        ) from error
    bound = runner.addresses[0][:2]
    return f"http://[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"http://{bound[0]}:{bound[1]}"


async def _learn(config: Config, state: State) -> None:
    """Learn the schemas' ids and the slots, however long the registry and the brokers are away."""
    registry = Registry.of(config)
    await patiently(lambda: registry.ready_sync(EVENTS, ENGAGEMENT, DEAD_LETTERS))
    names = ("envelope", "engagement", "dead_letter")
    state.encoders = Encoders(*map(registry.codec, names))
    slots = await patiently(lambda: Slots.read(config))
    state.slots = {account.space: slots.space(account.space) for account in config.accounts.values()}


def _admin(state: State, metrics: Metrics, publisher: Publisher) -> web.Application:
    async def read_metrics(_request: web.Request) -> web.Response:
        return web.Response(text=metrics.text(publisher.in_flight))

    async def live(_request: web.Request) -> web.Response:
        return web.json_response({"ok": True})

    async def ready(_request: web.Request) -> web.Response:
        waits = [
            name for name, known in (("registry", state.encoders), ("slots", state.slots)) if known is None
        ]
        if not await publisher.check():
            waits.append("kafka")
        return web.json_response(
            {"ok": not waits, "waits_for": waits},
            status=503 if waits else 200,
            headers={"Retry-After": "2"} if waits else {},
        )

    app = web.Application()
    app.add_routes([web.get("/metrics", read_metrics), web.get("/livez", live), web.get("/readyz", ready)])
    return app
