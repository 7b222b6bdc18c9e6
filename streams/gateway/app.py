"""The public port: one request in, one answer out."""

import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Protocol
from urllib.parse import unquote

import orjson
from aiohttp import web

from streams.config.sections import Gateway as Limits
from streams.engine.errors import Away
from streams.engine.telemetry import log
from streams.gateway import bodies, records, signatures
from streams.gateway.bodies import Piece, Unusable
from streams.gateway.doors import Doors, SourceDoor
from streams.gateway.messages import TYPES, Arrival
from streams.gateway.metrics import Metrics
from streams.gateway.publish import Records
from streams.gateway.reading import read
from streams.gateway.records import Encoders, Outgoing
from streams.klaviyo import engagement
from streams.segment.tracking_plan import TrackingPlan

KLAVIYO_BODY = 16 * 1024 * 1024
"""Klaviyo decides how large its webhooks are: up to 1,000 items."""
_SUCCESS = b'{"success":true}'
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Content-Encoding",
    "Access-Control-Max-Age": "86400",
}
_OPEN = {"Content-Type": "application/json", "Access-Control-Allow-Origin": "*"}
_RETRY_AFTER_S = "2"
_TOLD_EVERY_S = 10.0
_BRIEF = {"t": "track", "i": "identify", "p": "page", "s": "screen", "g": "group", "a": "alias", "b": "batch"}
"""The short paths of analytics.js."""


class Sink(Protocol):
    """Where accepted records go."""

    async def publish(self, records: Records) -> None:
        """Return when all are kept, raise Away when not."""


@dataclass(slots=True)
class _Outage:
    """Tells of requests that were answered 503: in an outage there are thousands a second."""

    requests: int = 0
    """Since it was told last."""
    told: float | None = None

    def refused(self, path: str, why: Away) -> None:
        """One more; one line in ten seconds says how many there were."""
        self.requests += 1
        now = time.monotonic()
        if self.told is None or now - self.told >= _TOLD_EVERY_S:
            log.warning("unavailable", path=path, requests=self.requests, why=why)
            self.requests, self.told = 0, now


@dataclass(slots=True)
class State:
    """What the gateway must learn before it can accept; None until then."""

    encoders: Encoders | None = None
    slots: Mapping[str, int] | None = None
    """Space → partition of klaviyo.engagement."""


class Gateway:
    """Routes, refuses, accepts."""

    def __init__(
        self,
        doors: Doors,
        limits: Limits,
        *,
        partitions: int,
        sink: Sink,
        state: State,
        metrics: Metrics,
        plan: TrackingPlan | None = None,
    ) -> None:
        self._doors = doors
        self._limits = limits
        self._partitions = partitions
        self._sink = sink
        self._state = state
        self._metrics = metrics
        self._plan = plan
        self._outage = _Outage()
        self._boot = secrets.token_hex(6)
        self._numbers = count(1)
        self._routes: dict[str, Callable[[web.BaseRequest, str], Awaitable[None]]] = {
            "v1": self._v1,
            "segment": self._segment,
            "klaviyo": self._klaviyo,
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; the status is the whole error model."""
        started = time.monotonic()
        path = request.raw_path.partition("?")[0]
        room, _, rest = path.strip("/").partition("/")
        route = self._routes.get(room)
        if request.method == "OPTIONS" and route is not None:
            return web.Response(status=204, headers=_CORS)
        try:
            if route is None:
                raise _not_found(path)
            await route(request, rest)
            response = web.Response(body=_SUCCESS, headers=_OPEN)
        except Unusable as refused:
            response = _refusal(refused)
        except Away as away:
            self._outage.refused(path, away)
            response = _refusal(Unusable(503, "unavailable", str(away), "send it again after Retry-After"))
        self._metrics.answered(room if route else "unknown", response.status, time.monotonic() - started)
        return response

    async def _v1(self, request: web.BaseRequest, kind: str) -> None:
        kind = _BRIEF.get(kind, kind)
        if kind != "batch" and kind not in TYPES:
            raise _not_found(request.raw_path)
        _post_only(request)
        header = request.headers.get("Authorization")
        door = self._doors.by_authorization(header) if header else None
        if header and door is None:
            raise _unauthorized("the write key in Authorization is not known")
        body = await self._read(request)
        value, sound = bodies.parse(body)
        if not isinstance(value, dict):
            raise bodies.not_an_object()
        door = door or self._by_write_key(value.get("writeKey"))
        if kind == "batch":
            pieces = bodies.many(value, sound=sound)
        else:
            pieces = [bodies.one(body, kind, value, sound=sound)]
        await self._accept(pieces, door)

    def _by_write_key(self, key: object) -> SourceDoor:
        door = self._doors.keys.get(key) if isinstance(key, str) else None
        if door is None:
            raise _unauthorized("no known write key in Authorization, nor as writeKey in the body")
        return door

    async def _segment(self, request: web.BaseRequest, name: str) -> None:
        door = self._doors.sources.get(unquote(name))
        if door is None:
            raise _not_found(request.raw_path)
        _post_only(request)
        body = await self._read(request)
        headers = request.headers
        whole, weak = headers.get(signatures.WHOLE_BODY_HEADER), headers.get(signatures.WEAK_HEADER)
        signed = signatures.segment(door.webhook_secrets, body, whole, weak)
        if signed is signatures.Signed.NOT:
            raise _unauthorized("neither X-Segment-Signature nor X-Signature fits body and secret")
        if signed is signatures.Signed.FIRST:
            self._metrics.weak[door.name] += 1
        value, sound = bodies.parse(body)
        if isinstance(value, dict):
            pieces = [Piece(body, value, body) if sound else bodies.piece(value, sound=False)]
        elif isinstance(value, list):
            pieces = [bodies.piece(element, sound=sound) for element in value]
        else:
            raise bodies.not_an_object()
        await self._accept(pieces, door)

    async def _accept(self, pieces: list[Piece], door: SourceDoor) -> None:
        if (
            self._state.encoders is None or self._state.slots is None
        ):  # dedupe stops at a space without a slot
            raise Away("the gateway waits for the schema registry or the slots of the spaces")
        bytes_ = self._limits.max_event_bytes
        arrival = Arrival(door.name, door.spaces, _now_ms(), self._trace(), bytes_, self._plan)
        out = records.of_segment(pieces, arrival, self._state.encoders, self._partitions)
        await self._keep(out, door.name)

    async def _klaviyo(self, request: web.BaseRequest, name: str) -> None:
        door = self._doors.accounts.get(unquote(name))
        if door is None:
            raise _not_found(request.raw_path)
        _post_only(request)
        body = await read(request, KLAVIYO_BODY, self._limits.body_timeout_s)
        now = _now_ms()
        headers = signatures.KlaviyoHeaders(
            request.headers.get("Klaviyo-Webhook-Id"),
            request.headers.get("Klaviyo-Timestamp"),
            request.headers.get("Klaviyo-Signature"),
        )
        wrong = signatures.klaviyo(door.webhook_secrets, body, headers, now, self._limits.webhook_tolerance_s)
        if wrong is not None:
            raise _unauthorized(wrong)
        value, sound = bodies.parse(body)
        items = value.get("data") if isinstance(value, dict) else None
        if not isinstance(items, list):
            hint = "see Klaviyo's system webhooks"
            raise Unusable(400, "invalid_body", "the body has no array named data", hint)
        if engagement.webhook_id(value) != headers.webhook_id:
            raise _unauthorized("meta.klaviyo_webhook_id is not what Klaviyo-Webhook-Id says")
        state = self._state
        slot = None if state.slots is None else state.slots.get(door.space)
        if state.encoders is None or slot is None:
            raise Away(f"the gateway waits for the schema registry or the slot of space {door.space}")
        pieces = [bodies.piece(item, sound=sound) for item in items]
        delivery = engagement.Delivery(door.name, door.space, now)
        out = records.of_klaviyo(
            pieces, delivery, self._trace(), slot, encoders=state.encoders, partitions=self._partitions
        )
        await self._keep(out, "klaviyo:" + door.name)

    async def _read(self, request: web.BaseRequest) -> bytes:
        return await read(request, self._limits.max_batch_bytes, self._limits.body_timeout_s)

    async def _keep(self, out: Outgoing, source: str) -> None:
        if out.topics:
            await self._sink.publish(out.topics)
        self._metrics.accepted[source] += out.events
        for reason in out.refused:
            self._metrics.refused[reason.value] += 1

    def _trace(self) -> str:
        return f"{self._boot}{next(self._numbers):010x}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _post_only(request: web.BaseRequest) -> None:
    if request.method != "POST":
        raise Unusable(405, "method_not_allowed", f"{request.method} is not known here", "use POST")


def _not_found(path: str) -> Unusable:
    hint = "POST /v1/batch, /v1/TYPE, /segment/SOURCE or /klaviyo/ACCOUNT, names as in the configuration"
    return Unusable(404, "not_found", f"there is nothing at {path[:200]}", hint)


def _unauthorized(message: str) -> Unusable:
    return Unusable(401, "unauthorized", message, "check the key or secret against the configuration")


def _refusal(refused: Unusable) -> web.Response:
    headers = dict(_OPEN)
    if refused.status == 503:
        headers["Retry-After"] = _RETRY_AFTER_S
    elif refused.status == 405:
        headers["Allow"] = "POST, OPTIONS"
    elif refused.status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="write key"'
    error = {"code": refused.code, "message": refused.message, "hint": refused.hint}
    response = web.Response(status=refused.status, body=orjson.dumps({"error": error}), headers=headers)
    if refused.status == 408:
        response.force_close()
    return response
