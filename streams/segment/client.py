"""The client back to Segment: batches to ``/v1/batch``."""

from base64 import b64encode
from dataclasses import dataclass
from typing import Final, Literal

import aiohttp

MAX_BATCH_BYTES: Final = 490_000
"""Segment's cap is 500 KB a request; the frame around the calls takes the rest."""
MAX_BATCH_CALLS: Final = 500
MAX_CALL_BYTES: Final = 32_768
LONGEST_WAIT_S: Final = 3_600.0
"""More than that no ``Retry-After`` is believed: the next try asks again."""
_SHOWN: Final = 4096
"""Bytes of an answer that are read."""

Verdict = Literal["accepted", "rejected", "stopped", "again"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What Segment said: accepted; rejected = not these calls; stopped = not this key, not here; again."""

    verdict: Verdict
    status: int
    body: str
    retry_after_s: float | None = None


def verdict_of(status: int, body: str = "") -> Verdict:
    """What an answer means for the calls of its request; a page is none of Segment's, whatever its status."""
    if 200 <= status < 300:
        return "again" if body.lstrip().startswith("<") else "accepted"
    if status in (400, 413, 422):
        return "rejected"
    if 300 <= status < 400 or status in (401, 403, 404, 405, 410, 415):
        return "stopped"
    return "again"


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
        key = b64encode(f"{write_key}:".encode()).decode()
        headers = {"Content-Type": "application/json", "Authorization": f"Basic {key}"}
        try:
            async with self._session.post(
                f"{url.rstrip('/')}/v1/batch",
                data=body,
                headers=headers,
                allow_redirects=False,  # what answers there is no Segment, and gets a GET without the calls
            ) as response:
                text = (await response.content.read(_SHOWN)).decode(errors="replace")
                after = response.headers.get("Retry-After", "")
                wait_s = min(float(after), LONGEST_WAIT_S) if after.isdecimal() else None
                return Reply(verdict_of(response.status, text), response.status, text, wait_s)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            return Reply("again", 0, f"{type(error).__name__}: {error}")

    async def close(self) -> None:
        """End the session."""
        if self._session is not None:
            await self._session.close()
