"""Sends made traffic to a gateway, as patiently as Segment's libraries do."""

import asyncio
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import aiohttp

from streams.local.traffic.message import Message
from streams.local.traffic.packing import Request, Webhook, pack

_LONGEST_WAIT_S = 30.0
_REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=20)


@dataclass(slots=True)
class Counts:
    """What became of the messages sent; a try that fails is made again with the same bytes."""

    accepted: int = 0
    """Messages of requests that were answered 200, the broken ones among them too."""
    refused: int = 0
    """Messages of requests that were answered with another final status."""
    requests: int = 0
    retries: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0


async def send(
    url: str,
    write_key: str,
    messages: Iterable[Message],
    *,
    webhook: Webhook | None = None,
    rate: float | None = None,
    concurrency: int = 8,
    progress: Callable[[Counts], None] = lambda _counts: None,
) -> Counts:
    """Send messages until each is accepted or refused for good.

    Args:
        url: the gateway's.
        write_key: of the source.
        messages: in the order they are sent; with a concurrency above 1 they arrive in roughly that order.
        webhook: if given, a tenth goes as Segment's webhook, signed.
        rate: messages a second; as fast as they are accepted when None.
        concurrency: requests in flight.
        progress: called after each answer.
    """
    basic = {"Authorization": "Basic " + b64encode(f"{write_key}:".encode()).decode()}
    requests = _paced(pack(messages, webhook), rate)
    counts, began = Counts(), time.monotonic()
    async with aiohttp.ClientSession(url, timeout=_REQUEST_TIMEOUT, auto_decompress=False) as http:

        async def sender() -> None:
            for request, due in requests:
                await asyncio.sleep(max(0.0, began + due - time.monotonic()))
                headers = {"Content-Type": "application/json"} | request.headers
                await _until_answered(http, request, headers | ({} if request.signed else basic), counts)
                counts.seconds = time.monotonic() - began
                progress(counts)

        async with asyncio.TaskGroup() as senders:
            for _ in range(concurrency):
                senders.create_task(sender())
    return counts


def _paced(requests: Iterable[Request], rate: float | None) -> Iterator[tuple[Request, float]]:
    """Say when each request is due, in seconds after the start."""
    messages = 0
    for request in requests:
        yield request, messages / rate if rate else 0.0
        messages += request.messages


async def _until_answered(
    http: aiohttp.ClientSession, request: Request, headers: dict[str, str], counts: Counts
) -> None:
    wait = 0.2
    while True:
        status, retry_after = await _try(http, request, headers)
        counts.requests += 1
        counts.statuses[status] += 1
        if status == 200:
            counts.accepted += request.messages
            return
        if 400 <= status < 500 and status not in (408, 429):
            counts.refused += request.messages
            return
        counts.retries += 1
        await asyncio.sleep(retry_after or wait)
        wait = min(wait * 2, _LONGEST_WAIT_S)


async def _try(
    http: aiohttp.ClientSession, request: Request, headers: dict[str, str]
) -> tuple[int, float | None]:
    """Return the status and Retry-After; 0 when nothing answered."""
    try:
        async with http.post(request.path, data=request.body, headers=headers) as reply:
            await reply.read()
            after = reply.headers.get("Retry-After", "")
            return reply.status, min(float(after), _LONGEST_WAIT_S) if after.isdigit() else None
    except (aiohttp.ClientError, TimeoutError):
        return 0, None
