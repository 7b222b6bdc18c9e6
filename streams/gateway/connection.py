"""aiohttp's server with what it lacks: a time-out for the first headers, and errors in the gateway's form."""

import asyncio
from typing import Any

import orjson
from aiohttp import web


class Connection(web.RequestHandler):
    """One client connection.

    aiohttp's own keep-alive time-out closes a connection that idles, or sends headers, too long after a
    request; before the first request nothing but this timer does.
    """

    __slots__ = ("_header_timeout_s", "_header_timer")

    def __init__(self, manager: web.Server, *, header_timeout_s: float, **kwargs: Any) -> None:
        super().__init__(manager, **kwargs)
        self._header_timeout_s = header_timeout_s
        self._header_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock."""
        super().connection_made(transport)
        self._header_timer = self._loop.call_later(self._header_timeout_s, self._late)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop the clock."""
        if self._header_timer is not None:
            self._header_timer.cancel()
        super().connection_lost(exc)

    def _late(self) -> None:
        self._header_timer = None
        if self._request_count == 0:
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not be parsed as HTTP, or what went wrong here, as JSON."""
        if status >= 500:
            self.log_exception("error while handling %s", request.path, exc_info=exc)
        code = "bad_request" if status < 500 else "internal"
        said = (message or "").partition("\n")[0] if status < 500 else "something went wrong in the gateway"
        error = {"code": code, "message": said or "not HTTP", "hint": "" if status < 500 else "send it again"}
        headers = {"Retry-After": "2"} if status == 503 else {}
        body = orjson.dumps({"error": error})
        response = web.Response(status=status, body=body, content_type="application/json", headers=headers)
        response.force_close()
        return response


class Server(web.Server):
    """Makes such connections."""

    def __init__(self, handler: Any, *, header_timeout_s: float, idle_timeout_s: float) -> None:
        super().__init__(handler)
        self._settings: dict[str, Any] = {
            "header_timeout_s": header_timeout_s,
            "keepalive_timeout": idle_timeout_s,
            "access_log": None,
            "auto_decompress": False,  # unpacked by ourselves, within the cap
            "lingering_time": 2.0,
        }

    def __call__(self) -> web.RequestHandler:
        """Make the connection of one client."""
        return Connection(self, loop=self._loop, **self._settings)
