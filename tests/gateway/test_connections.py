"""Slow and broken clients cost nothing but themselves."""

import asyncio
import base64
from collections.abc import AsyncIterator

import pytest

from tests.gateway.conftest import HASTY, WRITE_KEY, Running, running

AUTH = b"Authorization: Basic " + base64.b64encode(WRITE_KEY.encode() + b":") + b"\r\n"
HEAD = b"POST /v1/page HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + AUTH
BODY = b'{"type":"page","userId":"u"}'
LENGTH = f"Content-Length: {len(BODY)}\r\n\r\n".encode()


@pytest.fixture
async def hasty() -> AsyncIterator[Running]:
    async with running(HASTY) as made:
        yield made


async def connect(gateway: Running) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    return await asyncio.open_connection(host, int(port))


async def rest(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(20):
        return await reader.read()


async def test_headers_that_do_not_end_close_the_connection(hasty: Running) -> None:
    reader, writer = await connect(hasty)
    writer.write(HEAD)

    assert await rest(reader) == b""
    writer.close()


async def test_a_body_that_does_not_end_is_408(hasty: Running) -> None:
    reader, writer = await connect(hasty)
    writer.write(HEAD + LENGTH + BODY[:-1])

    answer = await rest(reader)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"timeout"' in answer
    assert hasty.sink.kept == []
    writer.close()


async def test_an_idle_connection_is_closed_after_its_answer(hasty: Running) -> None:
    reader, writer = await connect(hasty)
    writer.write(HEAD + LENGTH + BODY)

    answer = await rest(reader)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert len(hasty.sink.events) == 1
    writer.close()


async def test_a_client_that_expects_100_is_told_to_go_on(gateway: Running) -> None:
    reader, writer = await connect(gateway)
    writer.write(HEAD + b"Expect: 100-continue\r\n" + LENGTH)
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(BODY)

    assert (await reader.readuntil(b"\r\n")) == b"HTTP/1.1 200 OK\r\n"
    writer.close()


async def test_what_is_not_http_is_400_as_json(gateway: Running) -> None:
    reader, writer = await connect(gateway)
    writer.write(b"\x16\x03\x01 hello\r\n\r\n")

    answer = await rest(reader)

    assert answer.startswith(b"HTTP/1.")
    assert b" 400 " in answer.splitlines()[0]
    assert b'"error"' in answer
    writer.close()


async def test_a_client_that_leaves_halfway_leaves_nothing(gateway: Running) -> None:
    reader, writer = await connect(gateway)
    writer.write(HEAD + LENGTH + BODY[:5])
    await writer.drain()
    writer.transport.abort()

    status, _, _ = await gateway.post("/v1/page", BODY, headers={"Authorization": AUTH.decode()[15:].strip()})

    assert status == 200
    assert len(gateway.sink.kept) == 1
    assert reader is not None
