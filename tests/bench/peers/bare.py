"""``python -m tests.bench.peers.bare``: the least that aiohttp can do with a request, on uvloop."""

import asyncio
import json

import uvloop
from aiohttp import web


async def take(request: web.Request) -> web.Response:
    """Read the body."""
    await request.read()
    return web.Response(body=b'{"success":true}', content_type="application/json")


async def serve() -> None:
    """Until the process is told to stop."""
    app = web.Application()
    app.add_routes([web.post("/{path:.*}", take)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    print("READY " + json.dumps({"gateway": f"http://{host}:{port}"}), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve())
