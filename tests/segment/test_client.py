"""Whatever answers in Segment's place: only a 2xx of the request itself means that the calls are taken."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from streams.segment.client import LONGEST_WAIT_S, SegmentClient, verdict_of

Answers = dict[str, web.Response]


@pytest.fixture
async def answers() -> AsyncIterator[tuple[str, Answers, list[str]]]:
    """A server's URL, its answers by path, and what it was asked."""
    said: Answers = {}
    asked: list[str] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(f"{request.method} {request.path}")
        return said.get(request.path, web.Response(text="welcome"))

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}", said, asked
    await runner.cleanup()


@pytest.fixture
async def client() -> AsyncIterator[SegmentClient]:
    made = SegmentClient(5)
    yield made
    await made.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_and_takes_nothing(
    answers: tuple[str, Answers, list[str]], client: SegmentClient, status: int
) -> None:
    url, said, asked = answers
    said["/v1/batch"] = web.Response(status=status, headers={"Location": "/welcome"})

    reply = await client.send(url, "wk", [b"{}"])

    assert (reply.verdict, reply.status) == ("stopped", status)
    assert asked == ["POST /v1/batch"]


@pytest.mark.parametrize("charset", ["hex", "no-such", "utf-16", "\xff"])
async def test_an_answer_in_any_charset_is_read(
    answers: tuple[str, Answers, list[str]], client: SegmentClient, charset: str
) -> None:
    url, said, _ = answers
    headers = {"Content-Type": f"text/plain; charset={charset}"}
    said["/v1/batch"] = web.Response(body=b"ok\xff", headers=headers)

    assert (await client.send(url, "wk", [b"{}"])).verdict == "accepted"


@pytest.mark.parametrize(
    ("after", "wait_s"),
    [
        ("7", 7),
        ("9" * 12, LONGEST_WAIT_S),
        ("9" * 400, LONGEST_WAIT_S),
        ("²", None),
        ("soon", None),
        ("", None),
    ],
)
async def test_a_retry_after_is_believed_for_an_hour_at_most(
    answers: tuple[str, Answers, list[str]], client: SegmentClient, after: str, wait_s: float | None
) -> None:
    url, said, _ = answers
    said["/v1/batch"] = web.Response(status=429, headers={"Retry-After": after})

    reply = await client.send(url, "wk", [b"{}"])

    assert (reply.verdict, reply.status, reply.retry_after_s) == ("again", 429, wait_s)


@pytest.mark.parametrize("page", ["<!DOCTYPE html><title>Log in</title>", "\n <html>"])
async def test_a_page_takes_nothing_though_it_is_a_200(
    answers: tuple[str, Answers, list[str]], client: SegmentClient, page: str
) -> None:
    """A proxy's log-in or a parked domain: what it was sent is at Segment nowhere."""
    url, said, _ = answers
    said["/v1/batch"] = web.Response(text=page, content_type="text/html")

    assert (await client.send(url, "wk", [b"{}"])).verdict == "again"


async def test_an_endless_answer_is_not_read_to_its_end(
    answers: tuple[str, Answers, list[str]], client: SegmentClient
) -> None:
    url, said, _ = answers
    said["/v1/batch"] = web.Response(status=400, body=b"x" * 5_000_000)

    reply = await client.send(url, "wk", [b"{}"])

    assert reply.verdict == "rejected"
    assert 0 < len(reply.body) <= 4096


def test_every_status_has_a_verdict() -> None:
    found = {status: verdict_of(status) for status in range(100, 600)}

    assert {status for status, verdict in found.items() if verdict == "rejected"} == {400, 413, 422}
    assert {status // 100 for status, verdict in found.items() if verdict == "accepted"} == {2}
    assert {found[status] for status in (408, 425, 429, 500, 502, 503, 504, 524)} == {"again"}
