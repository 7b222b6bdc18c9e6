"""``python -m tests.bench.sender URL EVENTS SENDERS SECONDS``: connections with one request at a time each.

Written on bare sockets, so that the load costs less than what it measures. Prints answered, refused, seconds.
"""

import asyncio
import json
import sys
import time
from base64 import b64encode
from itertools import cycle
from urllib.parse import urlsplit

import uvloop

DIFFERENT = 500


def message(number: int) -> str:
    """About 500 bytes of an order."""
    properties = {
        "order_id": f"o{number}",
        "total": 19.5,
        "products": [{"product_id": "p1", "name": "Shirt"}],
    }
    context = {"ip": "203.0.113.7", "userAgent": "Mozilla/5.0 (X11; Linux x86_64)", "locale": "en-GB"}
    found = {
        "type": "track",
        "event": "Order Completed",
        "userId": f"u{number}",
        "anonymousId": f"8a1f5b0c-7e3d-4c2a-9f10-{number:012d}",
        "messageId": f"ajs-{number:032x}",
        "timestamp": "2026-07-22T10:00:00.000Z",
        "properties": properties,
        "context": context,
    }
    return json.dumps(found)


def requests(host: str, events: int) -> list[bytes]:
    """Whole requests, made beforehand."""
    key = b64encode(b"web:").decode()
    made = []
    for number in range(DIFFERENT if events == 1 else 20):
        body, path = message(number), "track"
        if events > 1:
            many = ",".join(message(number * events + n) for n in range(events))
            body, path = f'{{"batch":[{many}]}}', "batch"
        head = f"POST /v1/{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic {key}\r\n"
        made.append(
            f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
    return made


class Sender(asyncio.Protocol):
    """One connection: the next request goes when the last one is answered whole."""

    def __init__(self, mine: "cycle[bytes]", until: float) -> None:
        self.answered = self.refused = 0
        self.done = asyncio.get_running_loop().create_future()
        self._requests = mine
        self._until = until
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        transport.write(next(self._requests))  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, found, body = self._got.partition(b"\r\n\r\n")
        if not found:
            return
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if len(body) < int(length or 0):
            return
        self._got = b""
        if head.startswith(b"HTTP/1.1 200"):
            self.answered += 1
        else:
            self.refused += 1
        if time.monotonic() >= self._until:
            self._transport.close()
        else:
            self._transport.write(next(self._requests))  # type: ignore[attr-defined]

    def connection_lost(self, why: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def send(url: str, events: int, senders: int, seconds: float) -> None:
    """Send for so long."""
    where = urlsplit(url)
    made = requests(where.netloc, events)
    loop = asyncio.get_running_loop()
    began = time.monotonic()
    alone = []
    for number in range(senders):
        own = cycle(made[number * 7 % len(made) :] + made[: number * 7 % len(made)])
        connection = lambda own=own: Sender(own, began + seconds)  # noqa: E731
        alone.append((await loop.create_connection(connection, where.hostname, where.port))[1])
    await asyncio.gather(*(sender.done for sender in alone))
    took = time.monotonic() - began
    print(json.dumps([sum(s.answered for s in alone), sum(s.refused for s in alone), took]))


if __name__ == "__main__":
    uvloop.run(send(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
