"""The check-up's questions: what processes beside it counted, and what an answer of Klaviyo's tells."""

import asyncio
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer

from streams.engine.telemetry import PORTS
from streams.ledger import asking, doctor
from tests.ledger.test_diagnosis import make

METRICS = """# TYPE streams_klaviyo_unknown_fields_total counter
streams_klaviyo_unknown_fields_total{endpoint="GET /api/lists/{id}",field="data.attributes.mood"} 3
streams_klaviyo_unknown_fields_total{endpoint="POST /api/profile-import",field="meta"} 1
streams_deliver_new_profiles_today{account="acme",said="created"} 2
"""


async def answer(request: web.Request) -> web.Response:
    if request.path == "/metrics":
        return web.Response(text=METRICS)
    return web.json_response({"data": []}, headers={"Date": "Sun, 22 Nov 2026 05:00:00 GMT"})


async def test_counts_and_dates_are_read(tmp_path: Path) -> None:
    app = web.Application()
    app.router.add_get("/{tail:.*}", answer)
    async with TestServer(app, host="127.0.0.1") as server:
        assert server.port is not None
        config = make(tmp_path)
        behind = server.port - PORTS["deliver"]
        gateway = config.gateway.model_copy(update={"host": "127.0.0.1", "admin_port": behind})
        config = config.model_copy(update={"gateway": gateway})
        found = await asyncio.to_thread(doctor._unknown_fields, config)
        assert found == {
            ("GET /api/lists/{id}", "data.attributes.mood"): 3,
            ("POST /api/profile-import", "meta"): 1,
        }
        account = next(iter(config.accounts.values()))
        url = str(server.make_url("")).rstrip("/")
        account = account.model_copy(update={"klaviyo": account.klaviyo.model_copy(update={"url": url})})
        told = await asyncio.to_thread(asking.ask, account, "/api/accounts")
        assert told.status == 200
        assert told.ahead_ms is not None


async def test_nobody_there_is_no_count(tmp_path: Path) -> None:
    config = make(tmp_path)
    gateway = config.gateway.model_copy(update={"host": "127.0.0.1", "admin_port": 1})
    assert doctor._unknown_fields(config.model_copy(update={"gateway": gateway})) == {}
