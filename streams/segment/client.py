"""The client back to Segment: batches to ``/v1/batch``."""

from dataclasses import dataclass
from typing import Final, Literal

import aiohttp

MAX_BATCH_BYTES: Final = 490_000
"""Segment's cap is 500 KB a request; the frame around the calls takes the rest."""
MAX_BATCH_CALLS: Final = 500
MAX_CALL_BYTES: Final = 32_768

Verdict = Literal["accepted", "rejected", "stopped", "again"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What Segment said: accepted; rejected = not these calls; stopped = not this key; again = later."""

    verdict: Verdict
    status: int
    body: str
    retry_after_s: float | None = None


def verdict_of(status: int) -> Verdict:
    """What a status means for the calls of its request."""
    if 200 <= status < 300:
        return "accepted"
    if status in (400, 413, 422):
        return "rejected"
    if status in (401, 403, 404, 405, 410, 415):
        return "stopped"
    return "again"


def chunks(calls: list[bytes]) -> list[list[bytes]]:
    """Calls in order, in requests within Segment's caps."""
    found: list[list[bytes]] = [[]]
    size = 0
    for call in calls:
        if found[-1] and (size + len(call) + 1 > MAX_BATCH_BYTES or len(found[-1]) >= MAX_BATCH_CALLS):
            found.append([])
            size = 0
        found[-1].append(call)
        size += len(call) + 1
    return [chunk for chunk in found if chunk]


class SegmentClient:
    """One session a process."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, url: str, write_key: str, calls: list[bytes]) -> Reply:
        """Send calls (each the JSON of one) in one request; what fails on the way is "again"."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        body = b'{"batch":[' + b",".join(calls) + b"]}"
        headers = {"Content-Type": "application/json"}
        try:
            async with self._session.post(
                f"{url.rstrip('/')}/v1/batch",
                data=body,
                headers=headers,
                auth=aiohttp.BasicAuth(write_key, ""),
            ) as response:
                text = (await response.text(errors="replace"))[:4096]
                after = response.headers.get("Retry-After", "")
                return Reply(
                    verdict_of(response.status),
                    response.status,
                    text,
                    float(after) if after.isdigit() else None,
                )
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return Reply("again", 0, f"{type(error).__name__}: {error}")

    async def close(self) -> None:
        """End the session."""
        if self._session is not None:
            await self._session.close()
