"""The call itself: one session an account; foreign errors end here, as answers."""

from collections.abc import Callable
from time import monotonic
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

from streams.engine.telemetry import counter, log
from streams.klaviyo import drift, replies
from streams.klaviyo.replies import Reply
from streams.klaviyo.requests import Request
from streams.klaviyo.revision import MEDIA_TYPE, REVISION

_UNKNOWN: Final = counter(
    "streams_klaviyo_unknown_fields_total",
    "answers with a field that the pinned revision does not have, by endpoint and field",
)
_MOST: Final = 200
"""Different fields that are counted by name: what comes beyond them is counted as others."""
_seen: set[tuple[str, str]] = set()


def _told(request: Request, reply: Reply) -> Reply:
    """Count fields that are news, and say so the first time."""
    for field in reply.unknown:
        endpoint = drift.endpoint(request)
        if (endpoint, field) not in _seen and len(_seen) < _MOST:
            _seen.add((endpoint, field))
            log.warning("unknown_field", endpoint=endpoint, field=field)
        named = (endpoint, field) if (endpoint, field) in _seen else ("others", "others")
        _UNKNOWN.add(1, dict(zip(("endpoint", "field"), named, strict=True)))
    return reply


class _Late(Exception):
    """The right to send ran out before the first byte was written."""


class _Twice(Exception):
    """aiohttp repeats a GET or a DELETE by itself when a connection is cut: that has no right of its own."""


class _Guarded(Payload):
    """A body that is written only while its right to be sent lasts; the head goes out with its first byte.

    Not aiohttp's payload of bytes: that one warns of each body above a megabyte.
    """

    _value: bytes
    _autoclose = True

    def __init__(self, body: bytes, valid_until: float, clock: Callable[[], float]) -> None:
        super().__init__(body, content_type=MEDIA_TYPE)
        self._size = len(body)
        self._valid_until = valid_until
        self._clock = clock
        self.late = False
        self._written = False

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The body as text."""
        return self._value.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write all, once, or nothing."""
        if self._written:
            raise _Twice
        if self._clock() > self._valid_until:
            self.late = True
            raise _Late
        self._written = True
        await writer.write(self._value)


class Client:
    """Calls one account. Keys never show in logs or errors."""

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        timeout_s: float = 10.0,
        bulk_timeout_s: float = 30.0,
        revision: str = REVISION,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._url = url.rstrip("/")
        self._headers = {
            "Authorization": f"Klaviyo-API-Key {api_key}",
            "revision": revision,
            "Accept": MEDIA_TYPE,
        }
        self._timeouts = timeout_s, bulk_timeout_s
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    def timeout_s(self, bulk: bool) -> float:
        """Total time of a call, connecting included."""
        return self._timeouts[bulk]

    async def call(self, request: Request, valid_until: float) -> Reply | None:
        """Send one request and read its answer.

        Args:
            request: what to send.
            valid_until: by the clock; checked as the request is written to the socket.

        Returns:
            The answer, a time-out or a reset included; None if it was too late and nothing was sent.
        """
        body = _Guarded(request.body, valid_until, self._clock)
        timeout = aiohttp.ClientTimeout(total=self.timeout_s(request.bulk))
        address = f"{self._url}{request.path}" + (f"?{request.query}" if request.query else "")
        sending: dict[str, Any] = {"data": body, "timeout": timeout, "allow_redirects": False}
        try:
            async with self._open().request(request.method, address, **sending) as answer:
                content = await answer.read()
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return _told(request, replies.read(answer.status, headers, content, request))
        except (TimeoutError, aiohttp.ClientError, _Late, _Twice, OSError, ValueError) as error:
            return None if body.late else replies.no_answer(type(error).__name__)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers=self._headers,
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
