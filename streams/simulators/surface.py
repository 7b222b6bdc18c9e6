"""A simulator's HTTP server: the control surface under `/sim/`, every other path the API."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from streams.simulators.control import Control, Simulator
from streams.simulators.faults import FaultSpec

_LARGEST_BODY = 64 * 1024 * 1024
"""Above every API's own cap, so that the simulator refuses and not the HTTP server."""
CONTROL = web.AppKey("CONTROL", Control)


class _Surface:
    """The `/sim/` routes."""

    def __init__(self, control: Control) -> None:
        self._control = control

    async def requests(self, request: web.Request) -> web.StreamResponse:
        since = int(request.query.get("since", "0"))
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        lines: list[bytes] = []
        for entry in self._control.log.since(since):
            lines.append(entry.line())
            if len(lines) == 100:
                await response.write(b"".join(lines))
                lines.clear()
        await response.write(b"".join(lines))
        await response.write_eof()
        return response

    async def add_fault(self, request: web.Request) -> web.Response:
        fault = self._control.faults.add(FaultSpec.model_validate(await _object(request)))
        return _json({"id": fault.id}, 201)

    async def faults(self, request: web.Request) -> web.Response:
        fault_id = request.match_info.get("id")
        if fault_id is None:
            return _json({"data": [fault.as_json() for fault in self._control.faults.all()]})
        fault = self._control.faults.get(fault_id)
        return _json(fault.as_json()) if fault else _json({"error": f"no fault {fault_id}"}, 404)

    async def remove_faults(self, request: web.Request) -> web.Response:
        fault_id = request.match_info.get("id")
        if fault_id is None:
            self._control.faults.clear()
        elif not self._control.faults.remove(fault_id):
            return _json({"error": f"no fault {fault_id}"}, 404)
        return web.Response(status=204)

    async def config(self, _request: web.Request) -> web.Response:
        return _json(self._control.simulator.config.model_dump(mode="json"))

    async def configure(self, request: web.Request) -> web.Response:
        self._control.configure(await _object(request))
        return await self.config(request)

    async def reset(self, _request: web.Request) -> web.Response:
        self._control.reset()
        return _json({})

    async def stats(self, _request: web.Request) -> web.Response:
        return _json(self._control.stats())

    async def view(self, request: web.Request) -> web.Response:
        view = self._control.simulator.views.get(request.match_info["name"])
        return _json({"data": view()}) if view else _json({"error": "no such view"}, 404)

    async def command(self, request: web.Request) -> web.Response:
        command = self._control.simulator.commands.get(request.match_info["name"])
        if command is None:
            return _json({"error": "no such command"}, 404)
        return _json(await command(await _object(request)))


async def _object(request: web.Request) -> dict[str, Any]:
    given = orjson.loads(await request.read() or b"{}")
    if not isinstance(given, dict):
        raise TypeError("the body must be a JSON object")
    return given


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")


@web.middleware
async def _say_what_is_wrong(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Turn a wrong value given to `/sim/` into a 400 that names it."""
    if not request.path.startswith("/sim/"):
        return await handler(request)
    try:
        return await handler(request)
    except (ValueError, TypeError, KeyError) as error:
        return _json({"error": str(error)}, 400)


def make_app(simulator: Simulator, clock: Callable[[], float] = time.time) -> web.Application:
    """Put a simulator behind HTTP: `/sim/…` is the control surface, every other path the API."""
    control = Control(simulator, clock)
    surface = _Surface(control)
    app = web.Application(client_max_size=_LARGEST_BODY, middlewares=[_say_what_is_wrong])
    app[CONTROL] = control
    app.add_routes([
        web.get("/sim/requests", surface.requests),
        web.post("/sim/faults", surface.add_fault),
        web.get("/sim/faults", surface.faults),
        web.get("/sim/faults/{id}", surface.faults),
        web.delete("/sim/faults", surface.remove_faults),
        web.delete("/sim/faults/{id}", surface.remove_faults),
        web.get("/sim/config", surface.config),
        web.put("/sim/config", surface.configure),
        web.post("/sim/reset", surface.reset),
        web.get("/sim/stats", surface.stats),
        web.get("/sim/{name}", surface.view),
        web.post("/sim/{name}", surface.command),
        web.route("*", "/{tail:.*}", control.api),
    ])  # fmt: skip
    return app


async def serve(app: web.Application, port: int, ready: Callable[[str], None]) -> None:
    """Listen on 127.0.0.1 (port 0: a free one), call `ready` with the URL, run until cancelled."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        host, bound = runner.addresses[0][:2]
        ready(f"http://{host}:{bound}")
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
