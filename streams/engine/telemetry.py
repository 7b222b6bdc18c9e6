"""Log lines and counts of a process, and the admin port that shows them.

Counts are OpenTelemetry's: an application with a provider of its own gets them, too. Count once a batch.
"""

import asyncio
import contextlib
import logging
import os
import re
import sys
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any, TextIO

from aiohttp import web
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from streams.config import Config
from streams.engine.exposition import exposition

_ORDER = ("dedupe", "identify", "route", "deliver", "feedback", "bridge")
PORTS = {stage: n for n, stage in enumerate(_ORDER, start=1)}
"""Stage → how far its admin port is behind the gateway's."""
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_reader: InMemoryMetricReader | None = None


class Log:
    """Log lines: an event's name in snake case and its facts. Never a body, never a secret."""

    def __init__(self, name: str = "streams") -> None:
        self._log = logging.getLogger(name)

    def debug(self, event: str, **facts: object) -> None:
        """For whoever looks closely."""
        self._write(logging.DEBUG, event, facts)

    def info(self, event: str, **facts: object) -> None:
        """What happens in a process's life."""
        self._write(logging.INFO, event, facts)

    def warning(self, event: str, **facts: object) -> None:
        """What someone may have to look at."""
        self._write(logging.WARNING, event, facts)

    def error(self, event: str, **facts: object) -> None:
        """What someone must look at."""
        self._write(logging.ERROR, event, facts)

    def _write(self, level: int, event: str, facts: dict[str, object]) -> None:
        if self._log.isEnabledFor(level):
            self._log.log(level, event, extra={"facts": facts})


log = Log()


class Line(logging.Formatter):
    """``time level stage event key=value``; short times and colours for a person, full ones for a machine."""

    def __init__(self, stage: str, *, human: bool, colours: bool) -> None:
        super().__init__()
        self._stage, self._human, self._colours = stage, human, colours

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the traceback if there is one."""
        at = datetime.fromtimestamp(record.created, UTC)
        time = at.strftime("%H:%M:%S.%f")[:-3] if self._human else at.isoformat(timespec="milliseconds")
        level = record.levelname.lower()
        if self._colours:
            colour = 31 if record.levelno >= logging.ERROR else 33 if record.levelno > logging.INFO else 32
            level = f"\x1b[{colour}m{level}\x1b[0m"
        facts: dict[str, object] = getattr(record, "facts", {})
        stage = str(facts.get("stage", self._stage))
        told = "".join(f" {key}={_quoted(value)}" for key, value in facts.items() if key != "stage")
        foreign = "" if record.name.startswith("streams") else f"{record.name}: "
        event = foreign + record.getMessage()
        line = f"{time} {level} {stage} {event}{told}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _quoted(value: object) -> str:
    text = str(value)
    return repr(text) if not text or any(c.isspace() or c in "\"'=" for c in text) else text


_CONNECTION = re.compile(
    r"KafkaConnectionError|NodeNotReady|CoordinatorNotAvailable|Connect call failed|Unable to update metadata"
    r"|oordinator dead|RequestTimedOut|coordinator \(node \S+\) is either not started"
)
"""How aiokafka, in a dozen forms, says that a broker does not answer."""
_DEAL = "because it is rebalancing"
"""How it says that the group is dealt anew, which is no reason to look."""


class Seldom(logging.Filter):
    """Lets libraries say the same thing once in ten seconds: in an outage some say it ten times a second.

    That a broker does not answer is one line in half a minute, under the name that the runbook has for it.
    """

    EVERY_S = 10.0
    AWAY_EVERY_S = 30.0
    MOST = 1000

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to let it through; our own lines always are."""
        if record.name.startswith("streams"):
            return True
        if _DEAL in str(record.msg):
            record.levelno, record.levelname = logging.INFO, "INFO"
        if record.name.startswith("aiokafka") and _CONNECTION.search(text := record.getMessage()):
            record.name, record.msg, record.args, record.exc_info = "streams", "kafka_away", (), None
            record.levelno, record.levelname = logging.WARNING, "WARNING"
            record.__dict__["facts"] = {"why": text}
            return self._lately_unsaid((record.name, record.msg), record.created, self.AWAY_EVERY_S)
        return self._lately_unsaid((record.name, str(record.msg)), record.created, self.EVERY_S)

    def _lately_unsaid(self, what: tuple[str, str], at: float, every_s: float) -> bool:
        if at - self._said.get(what, 0.0) < every_s:
            return False
        if len(self._said) >= self.MOST:
            self._said.clear()
        self._said[what] = at
        return True


def _thread_ended(args: threading.ExceptHookArgs) -> None:
    """A thread of a library that was cancelled as the process ends is a line, anything else its traceback."""
    ending = isinstance(args.exc_value, asyncio.CancelledError)
    name = args.thread.name if args.thread else ""
    logging.getLogger("streams").log(
        logging.DEBUG if ending else logging.ERROR,
        "thread_ended",
        exc_info=None if ending or args.exc_value is None else args.exc_value,
        extra={"facts": {"thread": name, "error": args.exc_type.__name__}},
    )


def setup_logging(stage: str, *, level: str = "INFO", stream: TextIO = sys.stderr) -> None:
    """Send all log lines of the process to the stream, stderr unless told otherwise."""
    human = stream.isatty()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Line(stage, human=human, colours=human and "NO_COLOR" not in os.environ))
    handler.addFilter(Seldom())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    threading.excepthook = _thread_ended


def counter(name: str, description: str) -> metrics.Counter:
    """A count that only grows; ``add(n, {label: value})``."""
    return metrics.get_meter("streams").create_counter(name, description=description)


def gauge(name: str, description: str) -> Any:
    """A value that goes up and down; ``set(n, {label: value})``."""
    return metrics.get_meter("streams").create_gauge(name, description=description)


def watched(name: str, description: str, read: Callable[[], int]) -> None:
    """A value that is read whenever somebody asks."""
    metrics.get_meter("streams").create_observable_gauge(
        name, [lambda _: [metrics.Observation(read())]], description=description
    )


def histogram(name: str, description: str, unit: str = "s") -> metrics.Histogram:
    """A distribution; ``record(n, {label: value})``."""
    return metrics.get_meter("streams").create_histogram(
        name, unit=unit, description=description, explicit_bucket_boundaries_advisory=_SECONDS
    )


def collect() -> None:
    """Keep counts in this process from now on; what was created before counts, too."""
    global _reader  # noqa: PLW0603 - OpenTelemetry's provider is the process's, too
    if _reader is None:
        _reader = InMemoryMetricReader()
        metrics.set_meter_provider(MeterProvider([_reader]))


def metrics_text() -> str:
    """All counts as Prometheus reads them; empty before ``collect``."""
    data = _reader.get_metrics_data() if _reader else None
    return exposition(data) if data else ""


@contextlib.asynccontextmanager
async def serve_admin(
    config: Config, stage: str, ready: Callable[[], bool] = lambda: True
) -> AsyncIterator[str]:
    """``/metrics``, ``/livez`` and ``/readyz`` for as long as the context is open; yields the URL.

    The port follows the gateway's admin port by the stage's place in the line; a second process of a stage on
    one machine takes a free one, which the log tells.
    """
    collect()

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/metrics":
            return web.Response(text=metrics_text())
        well = request.path == "/livez" or ready()
        return web.Response(text="ok\n" if well else "not ready\n", status=200 if well else 503)

    app = web.Application()
    for path in ("/metrics", "/livez", "/readyz"):
        app.router.add_get(path, answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        base = config.gateway.admin_port
        host = config.gateway.host
        try:
            await web.TCPSite(runner, host, base + PORTS.get(stage, 0) if base else 0).start()
        except OSError:
            await web.TCPSite(runner, host, 0).start()
        bound_host, port = runner.addresses[0][:2]
        url = f"http://{bound_host}:{port}"
        log.info("admin", stage=stage, url=url)
        yield url
    finally:
        await runner.cleanup()
