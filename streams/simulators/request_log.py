"""What a simulator was asked and what it answered, kept within a bound."""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(slots=True)
class Entry:
    """One request; `at` and `done_at` are epoch seconds, `n` counts replies from 1."""

    n: int
    at: float
    done_at: float
    account: str | None
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes | None
    status: int | None
    response: bytes | None
    recorded: int
    fault: str | None
    has_body: bool = True

    def line(self) -> bytes:
        """Return the entry as one JSON line."""
        shown: dict[str, Any] = {
            "n": self.n,
            "at": self.at,
            "done_at": self.done_at,
            "account": self.account,
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "headers": self.headers,
            "body": _shown(self.body),
            "status": self.status,
            "response": _shown(self.response),
            "recorded": self.recorded,
            "fault": self.fault,
        }
        if not self.has_body:
            shown["body_dropped"] = True
        return orjson.dumps(shown) + b"\n"


def _shown(body: bytes | None) -> object:
    if not body:
        return None
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return {"base64": base64.b64encode(body).decode()}
    return orjson.Fragment(body)


class RequestLog:
    """The newest requests; past the byte cap the oldest lose their bodies, past the count they go."""

    def __init__(self, max_requests: int, max_body_bytes: int) -> None:
        self._entries: deque[Entry] = deque()
        self._stripped = 0
        self._bytes = 0
        self._n = 0
        self.max_requests = max_requests
        self.max_body_bytes = max_body_bytes
        self.requests_dropped = 0
        self.bodies_dropped = 0

    def add(self, **fields: Any) -> Entry:
        """Keep one request; `n` is given here."""
        self._n += 1
        entry = Entry(n=self._n, **fields)
        self._entries.append(entry)
        self._bytes += _size(entry)
        while self._bytes > self.max_body_bytes and self._stripped < len(self._entries):
            self._strip(self._entries[self._stripped])
            self._stripped += 1
        while len(self._entries) > self.max_requests:
            self._bytes -= _size(self._entries.popleft())
            self._stripped = max(0, self._stripped - 1)
            self.requests_dropped += 1
        return entry

    def _strip(self, entry: Entry) -> None:
        self._bytes -= _size(entry)
        entry.body = entry.response = None
        entry.has_body = False
        self.bodies_dropped += 1

    def since(self, n: int) -> Iterator[Entry]:
        """Return the kept requests numbered above `n`, oldest first."""
        first = self._entries[0].n if self._entries else 0
        skip = max(0, n + 1 - first)
        return (entry for index, entry in enumerate(list(self._entries)) if index >= skip)

    def clear(self) -> None:
        """Forget every request; numbers start again."""
        self._entries.clear()
        self._stripped = self._bytes = self._n = 0
        self.requests_dropped = self.bodies_dropped = 0

    def as_json(self) -> dict[str, int]:
        """Return the counts that `GET /sim/stats` shows."""
        return {
            "requests": self._n,
            "requests_kept": len(self._entries),
            "requests_dropped": self.requests_dropped,
            "bodies_dropped": self.bodies_dropped,
            "body_bytes": self._bytes,
        }


def _size(entry: Entry) -> int:
    return len(entry.body or b"") + len(entry.response or b"")
