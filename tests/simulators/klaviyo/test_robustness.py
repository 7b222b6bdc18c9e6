"""Whatever a body holds, the answer is Klaviyo's and never a crash; the server listens on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import random
from typing import Any

import aiohttp
import orjson
import pytest

from streams.simulators.control import Call
from streams.simulators.klaviyo.config import SimConfig
from streams.simulators.klaviyo.server import serve
from streams.simulators.klaviyo.simulator import KlaviyoSimulator
from tests.simulators.klaviyo.bodies import bulk, event, profile

HEADERS = {
    "authorization": "Klaviyo-API-Key k",
    "revision": "2026-07-15",
    "content-type": "application/vnd.api+json",
}
META = {"patch_properties": {"append": {"tags": "a"}, "unappend": {"tags": ["b"]}, "unset": ["c"]}}
LIST = {"list": {"data": {"type": "list", "id": "L"}}}
SUBSCRIPTIONS = {
    "email": {"marketing": {"consent": "SUBSCRIBED", "consented_at": "2020-01-01T00:00:00Z"}},
    "sms": {"marketing": {"consent": "SUBSCRIBED"}},
}
PERSON = {
    "type": "profile",
    "attributes": {"email": "ada@shop.io", "phone_number": "+12345678901", "subscriptions": SUBSCRIPTIONS},
}
IMPORT = {"profiles": {"data": [profile(email="ada@shop.io")["data"], profile(phone_number="1")["data"]]}}
BODIES: dict[str, Any] = {
    "/api/events": event(unique_id="a", time="2026-01-01T00:00:00Z", value=1, value_currency="USD"),
    "/api/event-bulk-create-jobs": bulk(event(unique_id="a"), event("bob@shop.io")),
    "/api/profile-import": {
        "data": {**profile(email="a@shop.io", location={"city": "X"})["data"], "meta": META}
    },
    "/api/profiles": profile(email="ada@shop.io", properties={"a": [1]}),
    "/api/lists": {
        "data": {"type": "list", "attributes": {"name": "News", "opt_in_process": "single_opt_in"}}
    },
    "/api/lists/L/relationships/profiles": {"data": [{"type": "profile", "id": "P"}]},
    "/api/profile-bulk-import-jobs": {
        "data": {
            "type": "profile-bulk-import-job",
            "attributes": IMPORT,
            "relationships": {"lists": {"data": [{"type": "list", "id": "L"}]}},
        }
    },
    "/api/profile-subscription-bulk-create-jobs": {
        "data": {
            "type": "profile-subscription-bulk-create-job",
            "attributes": {"historical_import": True, "profiles": {"data": [PERSON]}},
            "relationships": LIST,
        }
    },
    "/api/profile-suppression-bulk-create-jobs": {
        "data": {
            "type": "profile-suppression-bulk-create-job",
            "attributes": {"profiles": {"data": [{"type": "profile", "attributes": {"email": "a@shop.io"}}]}},
        }
    },
    "/api/profile-merge": {
        "data": {
            "type": "profile-merge",
            "id": "A",
            "relationships": {"profiles": {"data": [{"type": "profile", "id": "B"}]}},
        }
    },
    "/api/data-privacy-deletion-jobs": {
        "data": {
            "type": "data-privacy-deletion-job",
            "attributes": {"profile": {"data": {"type": "profile", "attributes": {"email": "a@shop.io"}}}},
        }
    },
}
JUNK = [
    None,
    0,
    -1.5,
    True,
    "",
    "x",
    "ada@shop.io",
    "555",
    [],
    [None],
    ["a"],
    {},
    {"data": None},
    {"a": {"b": 1}},
]


def answer(simulator: KlaviyoSimulator, path: str, body: Any) -> int:
    call = Call(1_790_000_000.0, "POST", path, "", HEADERS, orjson.dumps(body))
    call.account = simulator.account(call)
    reply = simulator.admit(call) or simulator.answer(call)
    return reply.status


def broken(body: Any, dice: random.Random) -> Any:
    """Return a copy with one place replaced by junk, or taken away."""
    made = copy.deepcopy(body)
    node: Any = made
    while True:
        key = dice.choice(list(node) if isinstance(node, dict) else range(len(node)))
        inner = node[key]
        if isinstance(inner, dict | list) and inner and dice.random() < 0.75:
            node = inner
            continue
        if isinstance(node, dict) and dice.random() < 0.2:
            del node[key]
        else:
            node[key] = dice.choice(JUNK)
        return made


@pytest.mark.parametrize("path", BODIES)
def test_no_body_makes_it_fail(path: str) -> None:
    budgets = {"burst": 10**6, "steady": 10**6}
    config = SimConfig.model_validate({"keys": {"k": "acme"}})
    names = ("event", "profile", "list", "subscribe", "suppress", "merge", "erase")
    simulator = KlaviyoSimulator(config.merged({"budgets": dict.fromkeys(names, budgets)}), lambda _: None)
    dice = random.Random(path)

    statuses = {answer(simulator, path, broken(BODIES[path], dice)) for _ in range(600)}

    assert statuses <= {200, 201, 202, 204, 400, 404, 409}
    assert 400 in statuses or "relationships" in path
    for view in simulator.views.values():
        orjson.dumps(view())


async def test_it_listens_on_loopback_until_it_is_cancelled() -> None:
    heard: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(0, SimConfig(keys={"k": "acme"}), heard.set_result))
    url = await asyncio.wait_for(heard, 10)
    assert url.startswith("http://127.0.0.1:")
    async with aiohttp.ClientSession() as session, session.get(f"{url}/sim/stats") as reply:
        assert (await reply.json())["requests"] == 0
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(f"{url}/sim/stats")
