"""Short calls of one simulator under test, and its clock."""

from __future__ import annotations

import io
import time
from typing import Any

import orjson

MEDIA_TYPE = "application/vnd.api+json"
HEADERS = {
    "Authorization": "Klaviyo-API-Key pk_acme",
    "revision": "2026-07-15",
    "Content-Type": MEDIA_TYPE,
}


class Clock:
    """Epoch seconds that stand still until a test moves them; real ones when `at` is None."""

    def __init__(self) -> None:
        self.at: float | None = None

    def __call__(self) -> float:
        return time.time() if self.at is None else self.at


class Sim:
    """Short calls of one simulator."""

    def __init__(self, client: Any, clock: Clock) -> None:
        self.client = client
        self.clock = clock

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        sent = {name: value for name, value in {**HEADERS, **headers}.items() if value}
        raw = body.encode() if isinstance(body, str) else body
        if body is not None and not isinstance(raw, bytes):
            raw = orjson.dumps(body)
        kwargs = {"data": io.BytesIO(raw)} if raw is not None else {}
        response = await self.client.request(method, path, headers=sent, **kwargs)
        await response.read()
        return response

    async def post(self, path: str, body: Any, **headers: str) -> Any:
        return await self.call("POST", path, body, **headers)

    async def get(self, path: str, **headers: str) -> Any:
        return await self.call("GET", path, None, **headers)

    async def configure(self, **patch: Any) -> Any:
        response = await self.client.put("/sim/config", json=patch)
        assert response.status == 200, await response.text()
        return await response.json()

    async def fault(self, do: dict[str, Any], **rest: Any) -> str:
        response = await self.client.post("/sim/faults", json={"do": do, **rest})
        assert response.status == 201, await response.text()
        return str((await response.json())["id"])

    async def view(self, name: str) -> list[dict[str, Any]]:
        response = await self.client.get(f"/sim/{name}")
        rows: list[dict[str, Any]] = (await response.json())["data"]
        return rows
