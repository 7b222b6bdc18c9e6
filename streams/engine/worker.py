"""One stage as one process: a Faust app with one agent, in one consumer group."""

import asyncio
import errno
import fcntl
import gc
import logging
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import faust
from aiokafka.helpers import create_ssl_context

from streams.config import Config
from streams.engine.consumer import Assignor, BatchTransport
from streams.engine.control import ControlTail
from streams.engine.errors import STANDS, Away, EngineError, Misconfigured, StateMismatch
from streams.engine.ownership import Ownership
from streams.engine.reading import Reader
from streams.engine.registry import Registry
from streams.engine.slot import Place
from streams.engine.slots import Slots
from streams.engine.stage import Context, Stage
from streams.engine.store import Memory
from streams.engine.telemetry import log, serve_admin, watched
from streams.engine.topics import TOPICS, changelog, full
from streams.engine.waiting import patiently

SESSION_S = 10.0
STOP_S = 5.0
End = Callable[[BaseException | None], None]
"""Ends the process: with a reason, or because it was told to."""


def connection(client: dict[str, Any]) -> dict[str, Any]:
    """librdkafka's connection settings in aiokafka's words."""
    protocol = str(client.get("security.protocol", "PLAINTEXT")).upper()
    found: dict[str, Any] = {
        "bootstrap_servers": str(client["bootstrap.servers"]).split(","),
        "security_protocol": protocol,
    }
    if protocol.startswith("SASL"):
        found["sasl_mechanism"] = client.get("sasl.mechanism", client.get("sasl.mechanisms"))
        found["sasl_plain_username"] = client.get("sasl.username")
        found["sasl_plain_password"] = client.get("sasl.password")
    if protocol.endswith("SSL"):
        found["ssl_context"] = create_ssl_context(
            cafile=client.get("ssl.ca.location"),
            certfile=client.get("ssl.certificate.location"),
            keyfile=client.get("ssl.key.location"),
            password=client.get("ssl.key.password"),
        )
    return found


def lock_folder(data: Path, stage: str) -> tuple[Path, IO[str]]:
    """The first folder DATA/STAGE/N that no other process holds, locked for this process's life.

    Raises:
        Misconfigured: this user can't make or write it.
    """
    for number in range(1000):
        folder = data / stage / str(number)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = (folder / "lock").open("w")
        except OSError as error:
            if error.errno == errno.ENOSPC:  # passes: whoever started us tries again
                raise Away(f"no room for the state in {folder}: enlarge the disk, or move `data:`") from error
            raise Misconfigured(
                f"{folder}: {error.strerror}; `data:` (STREAMS_DATA) must be one that this user may write"
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.close()
        else:
            return folder, handle
    raise EngineError(f"a thousand processes of {stage} hold folders in {data}")


def application(config: Config, stage: Stage, ownership: Ownership) -> faust.App:
    """Faust's app: group, assignment and one agent that hands batches to their slots."""
    app = faust.App(
        f"{config.prefix}{stage.name}",
        broker="kafka://" + config.kafka.bootstrap.split(",")[0],
        broker_session_timeout=SESSION_S,
        broker_heartbeat_interval=SESSION_S / 4,
        broker_rebalance_timeout=30.0,
        broker_request_timeout=30.0,
        broker_commit_interval=1.0,
        stream_buffer_maxsize=64,
        stream_wait_empty=False,
        stream_recovery_delay=0.0,
        topic_disable_leader=True,
        topic_allow_declare=False,
        table_standby_replicas=0,
        web_enabled=False,
        key_serializer="raw",
        value_serializer="raw",
        PartitionAssignor=Assignor,
        datadir=str(config.data / "faust"),
        logging_config=None,
    )
    app.transport = BatchTransport(app, connection(config.kafka.client()), ownership)
    app.producer_transport = app.transport
    topic = app.topic(
        *(config.prefix + name for name in stage.inputs), key_serializer="raw", value_serializer="raw"
    )

    @app.agent(topic, name=stage.name)
    async def hand_out(stream: Any) -> None:
        async for event in stream.noack().events():
            await ownership.arrive(event.message.tp, event.message.value)

    return app


async def run(config: Config, build: Callable[[Context], Stage], *, skip_deleted: bool = False) -> int:
    """Run the stage that ``build`` makes until SIGTERM or SIGINT; wait for whatever is away at the start.

    Args:
        config: of the line.
        build: makes the stage.
        skip_deleted: go on where an input begins, if it begins behind what the stage did last.

    Returns:
        0 when told to stop; when something ended it, which is in the log, 1, or 4 if a restart can't help.
    """
    ended: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

    def end(why: BaseException | None) -> None:
        if not ended.done():
            ended.set_result(why)

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end, None)
    for chatty in ("faust", "mode", "aiokafka", "streams.engine.consumer", "streams.engine.fetching"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    starting = asyncio.create_task(_prepare(config, build))
    either: set[asyncio.Future[Any]] = {starting, ended}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        return 0
    stage, control, identity = starting.result()
    async with control:
        why = await _live(config, stage, identity, ended, end, skip_deleted)
    if why is not None:
        log.error("ended", stage=stage.name, error=type(why).__name__, why=str(why))
        return STANDS if isinstance(why, StateMismatch) else 1
    return 0


async def _prepare(config: Config, build: Callable[[Context], Stage]) -> tuple[Stage, ControlTail, str]:
    """What must be known before a stage can run: slots, schemas, control, which changelog there is."""
    registry = Registry.of(config)
    control = ControlTail(config)
    slots = await patiently(lambda: Slots.read(config))
    stage = build(Context(config, registry, slots, control))
    await patiently(lambda: registry.ready_sync(*stage.schemas))
    reader, name = Reader(config.kafka.client()), full(config.prefix, changelog(stage.name))
    return stage, control, await patiently(lambda: reader.identity(name))


async def _live(
    config: Config,
    stage: Stage,
    identity: str,
    ended: "asyncio.Future[Any]",
    end: End,
    skip_deleted: bool,
) -> BaseException | None:
    """Run the stage until it is ended; why, or None when it was told to. ``identity`` is its changelog's."""
    folder, lock = lock_folder(config.data, stage.name)
    memory = Memory()
    watched("streams_store_buffer_bytes", "What stores hold in memory before they write it.", memory.buffered)
    place = Place(
        stage=stage.name,
        inputs=stage.inputs,
        prefix=config.prefix,
        packed=stage.packed,
        partitions=config.partitions if TOPICS[stage.inputs[0]].partitioned == "events" else 0,
        ledger_partitions=config.partitions,
        client=config.kafka.client(),
        folder=folder,
        memory=memory,
        log=identity,
    )
    _quieten_gc()
    ownership = Ownership(place, stage, end, skip_deleted=skip_deleted)
    app = application(config, stage, ownership)
    log.info("starting", stage=stage.name, pid=os.getpid(), folder=str(folder))
    why: BaseException | None = None
    try:
        async with serve_admin(config, stage.name, ready=ownership.ready):
            await app.start()
            watch = asyncio.create_task(_crashed(app, end))
            why = await ended
            watch.cancel()
            await ownership.stop()
            await _stop(app, stage.name, ownership)
    finally:
        await stage.close()
        lock.close()
    return why


async def _stop(app: faust.App, name: str, ownership: Ownership) -> None:
    """Leave the group, for five seconds at most: with a broker that is away there is no leaving it.

    The thread that fetches then ends with the process, its tasks as they are: what asyncio would say of each
    of them at the interpreter's end tells nobody anything.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(STOP_S) as limit:
            await app.stop()
    if limit.expired():  # Faust takes the cancellation for itself: no TimeoutError comes of it
        log.warning("slow_stop", stage=name)
        thread = ownership.consumer._thread  # noqa: SLF001 # nothing else of Faust's knows it
        thread.thread_loop.set_exception_handler(lambda _loop, _context: None)


def _quieten_gc() -> None:
    """Look for cycles rarely: batches are thousands of objects that die by themselves."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


async def _crashed(app: faust.App, end: End) -> None:
    """Faust keeps a crash to itself: end the process with it."""
    while not app.crashed:  # noqa: ASYNC110 # mode has an event for it, but a private one
        await asyncio.sleep(0.2)
    end(app.crash_reason or EngineError("Faust stopped"))
