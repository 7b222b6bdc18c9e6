"""The shell that every simulator runs in: faults, the request log, and the `/sim/` surface.

A simulator itself is plain code: it gets a `Call` and gives a `Reply`. `Control` stands around it:
each API request is read, admitted, met by at most one fault, answered and logged, in that order.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from streams.simulators.faults import Do, ErrorRow, Fault, Faults
from streams.simulators.request_log import RequestLog

_CLOUDFLARE = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body></body></html>"


class SimulatorConfig(BaseModel):
    """What every simulator can be set to; changed while running by `PUT /sim/config`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keys: dict[str, str] = {}
    """API or write key -> account."""
    latency_ms: float = Field(default=0, ge=0)
    max_requests: int = Field(default=200_000, ge=1)
    max_body_bytes: int = Field(default=256 * 1024 * 1024, ge=0)

    def merged(self, patch: Mapping[str, Any]) -> Self:
        """Return the config with `patch` laid over it: objects merge, null takes a key away (RFC 7386)."""
        return type(self).model_validate(_merge(self.model_dump(), patch))


def _merge(old: Any, patch: Any) -> Any:
    if not isinstance(patch, Mapping) or not isinstance(old, dict):
        return patch
    merged = dict(old)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge(merged.get(key, {} if isinstance(value, Mapping) else None), value)
    return merged


@dataclass(slots=True)
class Call:
    """One API request, read whole; `at` is when it arrived (epoch seconds)."""

    at: float
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    account: str | None = None
    drop: bool = False
    """A fault: answer as ever, store nothing."""
    error_rows: tuple[ErrorRow, ...] = ()
    """A fault: rows to refuse."""
    state: Any = None
    """What `admit` found out and `answer` needs; the simulator's own."""


@dataclass(slots=True)
class Reply:
    """An answer; `body` is JSON bytes unless a content type in `headers` says otherwise."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    recorded: int = 0


class Simulator(Protocol):
    """What stands behind the API; everything but `commands` is synchronous and free of I/O."""

    views: Mapping[str, Callable[[], list[dict[str, Any]]]]
    """`GET /sim/NAME` -> `{"data": […]}`."""
    commands: Mapping[str, Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]]
    """`POST /sim/NAME` with a JSON object -> 200 and the answer; a ValueError is a 400."""

    @property
    def config(self) -> SimulatorConfig:
        """Return the switches in force."""

    def configure(self, patch: Mapping[str, Any]) -> None:
        """Merge switches; a ValueError says what is wrong with them."""

    def account(self, call: Call) -> str | None:
        """Return whose key the call carries."""

    def admit(self, call: Call) -> Reply | None:
        """Refuse before anything else happens (credentials, budgets), or return None."""

    def answer(self, call: Call) -> Reply:
        """Process the call."""

    def failure(self, status: int) -> Reply:
        """Return the API's usual error of a status, for a fault that gives no body."""

    def reset(self) -> None:
        """Forget everything but the config."""

    def stats(self) -> dict[str, Any]:
        """Return counts to show in `GET /sim/stats`."""


class Control:
    """Faults, log and counts around one simulator."""

    def __init__(self, simulator: Simulator, clock: Callable[[], float] = time.time) -> None:
        self.simulator = simulator
        self.faults = Faults()
        config = simulator.config
        self.log = RequestLog(config.max_requests, config.max_body_bytes)
        self.replies: Counter[tuple[str, str, int | None]] = Counter()
        self._clock = clock

    async def api(self, request: web.Request) -> web.StreamResponse:
        """Serve one API request."""
        at = self._clock()
        headers = {name.lower(): value for name, value in request.headers.items()}
        query = request.url.raw_query_string
        call = Call(at, request.method, request.path, query, headers, await request.read())
        call.account = self.simulator.account(call)
        fault: Fault | None = None
        reply = self.simulator.admit(call)
        if reply is None:
            fault = self.faults.strike(call.method, call.path, call.account)
            reply = await self._under(call, fault.spec.do if fault else None)
        if self.simulator.config.latency_ms:
            await asyncio.sleep(self.simulator.config.latency_ms / 1000)
        self._keep(call, reply, fault)
        if reply is None or (fault and fault.spec.do.reset):
            _reset(request)
            return web.Response(status=500)
        reply.headers.setdefault("Content-Type", "application/json")
        return web.Response(status=reply.status, body=reply.body or None, headers=reply.headers)

    async def _under(self, call: Call, do: Do | None) -> Reply | None:
        if do is None:
            return self.simulator.answer(call)
        if do.reset == "before":
            return None
        if do.cloudflare:
            return Reply(403, _CLOUDFLARE, {"Content-Type": "text/html", "cf-mitigated": "challenge"})
        if do.status is not None:
            return self._made_up(do, do.status)
        if do.delay_s and do.when == "before":
            await asyncio.sleep(do.delay_s)
        call.drop = bool(do.drop_after_202)
        call.error_rows = do.error_rows or ()
        reply = self.simulator.answer(call)
        if do.delay_s and do.when == "after":
            await asyncio.sleep(do.delay_s)
        return reply

    def _made_up(self, do: Do, status: int) -> Reply:
        reply = self.simulator.failure(status)
        if do.body is not None:
            reply.body = do.body.encode() if isinstance(do.body, str) else orjson.dumps(do.body)
        for name, value in do.headers.items():
            for old in [known for known in reply.headers if known.lower() == name.lower()]:
                del reply.headers[old]
            reply.headers[name.title() if name.lower() == "content-type" else name] = value
        return reply

    def _keep(self, call: Call, reply: Reply | None, fault: Fault | None) -> None:
        status = reply.status if reply else None
        self.replies[(call.method, call.path, status)] += 1
        self.log.add(
            at=call.at, done_at=self._clock(), account=call.account, method=call.method, path=call.path,
            query=call.query, headers=dict(call.headers), body=call.body, status=status,
            response=reply.body if reply else None, recorded=reply.recorded if reply else 0,
            fault=fault.id if fault else None,
        )  # fmt: skip

    def reset(self) -> None:
        """Forget requests, faults, counts and the simulator's data; the config stays."""
        self.log.clear()
        self.faults.clear()
        self.faults.fired = 0
        self.replies.clear()
        self.simulator.reset()

    def stats(self) -> dict[str, Any]:
        """Return what `GET /sim/stats` shows."""
        by_status: Counter[str] = Counter()
        by_path: Counter[str] = Counter()
        for (method, path, status), count in self.replies.items():
            by_status[str(status)] += count
            by_path[f"{method} {path}"] += count
        shown = {**self.log.as_json(), "by_status": by_status, "http_429": by_status["429"]}
        shown |= {"by_path": dict(by_path.most_common(100)), "faults_fired": self.faults.fired}
        return {**shown, **self.simulator.stats()}

    def configure(self, patch: dict[str, Any]) -> None:
        """Merge a config patch; a ValueError says what is wrong with it."""
        self.simulator.configure(patch)
        config = self.simulator.config
        self.log.max_requests, self.log.max_body_bytes = config.max_requests, config.max_body_bytes


def _reset(request: web.Request) -> None:
    """Cut the connection with a TCP reset, as a dying proxy does."""
    transport = request.transport
    if transport is None:
        return
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
