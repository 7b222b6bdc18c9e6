"""Reads one request: its content type, its body within a bound and a time."""

import asyncio

from aiohttp import web

from streams.gateway.bodies import Unusable, too_large, unpack

_TYPES = frozenset({"application/json", "text/json", "text/plain"})
"""text/plain is what a browser's beacon sends."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


async def read(request: web.BaseRequest, limit: int, timeout_s: float) -> bytes:
    """Return the whole body, unpacked.

    Raises:
        Unusable: 408 too slow, 413 too large (packed or unpacked), 415 a wrong content type or encoding,
            400 packed wrongly or broken off.
    """
    headers = request.headers
    kind = headers.get("Content-Type")
    if kind is not None and kind != "application/json":
        _check_type(kind)
    body = await _body(request, limit, timeout_s)
    encoding = headers.get("Content-Encoding")
    return unpack(body, encoding, limit) if encoding else body


def _check_type(header: str) -> None:
    kind = header.partition(";")[0].strip().lower()
    if kind not in _TYPES and not (kind.startswith("application/") and kind.endswith("+json")):
        message = f"Content-Type {kind!r} is not known here"
        raise Unusable(415, "unsupported_media_type", message, "send Content-Type: application/json")


async def _body(request: web.BaseRequest, limit: int, timeout_s: float) -> bytes:
    length = request.content_length
    if length is not None and length > limit:
        raise too_large(limit)
    content = request.content
    if content.is_eof():
        body = content.read_nowait()
        if len(body) > limit:
            raise too_large(limit)
        return body
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(_CONTINUE)
    chunks = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            while chunk := await content.readany():
                chunks += chunk
                if len(chunks) > limit:
                    raise too_large(limit)
    except TimeoutError as late:
        message = f"the body took more than {timeout_s:g} s"
        raise Unusable(408, "timeout", message, "send it again") from late
    except (web.RequestPayloadError, ConnectionError) as broken:
        raise Unusable(400, "incomplete_body", "the body broke off", "send it again") from broken
    return bytes(chunks)
