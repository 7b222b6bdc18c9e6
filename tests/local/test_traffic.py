"""Made traffic is deterministic, has the shares and the dirt it says, and is sent with patience."""

import asyncio
import gzip
import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from aiohttp import web

from streams.gateway import bodies, messages
from streams.gateway.messages import Arrival
from streams.local.traffic import Message, Webhook, generate, send
from streams.local.traffic.packing import MOST_BYTES, pack
from streams.segment.refusal import Refusal

START = 1_767_225_600_000
ARRIVAL = Arrival("web", ("acme",), START, "t", 32_768)


@pytest.fixture(scope="module")
def made() -> list[Message]:
    return list(generate(7, 3_000, 40_000, START))


def labels(made: list[Message]) -> Counter[str]:
    return Counter(label for message in made for label in message.labels)


def test_the_same_seed_makes_the_same_messages() -> None:
    first, second, other = (list(generate(seed, 100, 2_000, START)) for seed in (1, 1, 2))

    assert first == second
    assert first != other
    assert len(first) == 2_000


def test_types_have_their_shares(made: list[Message]) -> None:
    count = Counter(message.type for message in made)
    shares = {"page": 0.48, "track": 0.41, "identify": 0.08, "screen": 0.02, "group": 0.007, "alias": 0.003}

    for kind, share in shares.items():
        assert count[kind] / len(made) == pytest.approx(share, rel=0.35), kind


def test_every_kind_of_dirt_is_there_at_about_its_rate(made: list[Message]) -> None:
    found = labels(made)
    rates = {"redelivery:seconds": 0.008, "redelivery:day": 0.002, "late:seconds": 0.02, "late:hours": 0.005,
             "integrations": 0.005}  # fmt: skip

    for label, rate in rates.items():
        assert found[label] / len(made) == pytest.approx(rate, rel=0.3), label
    for label in ("near_cap", "same_order", "shared_email", "email_change", "two_devices", "shared_device",
                  "phone:national", "phone:junk", "user_id:numeric", "fraction:10"):  # fmt: skip
        assert found[label], label
    kinds = {label.partition(":")[0] for label in found}
    assert {"amount", "products", "time", "invalid_email", "extreme"} <= kinds


def test_a_redelivery_is_an_earlier_message_byte_for_byte(made: list[Message]) -> None:
    seen: dict[str | None, bytes] = {}
    repeated = 0
    for message in made:
        if any(label.startswith("redelivery") for label in message.labels):
            assert seen[message.message_id] == message.body
            repeated += 1
        elif message.message_id is not None:
            assert message.message_id not in seen
            seen[message.message_id] = message.body
    assert repeated > 300


def test_a_second_copy_of_an_order_has_its_own_id_and_the_same_order(made: list[Message]) -> None:
    orders: dict[str, set[str | None]] = {}
    for message in made:
        if b'"Order Completed"' in message.body and message.is_json:
            order = orjson.loads(message.body)["properties"]["order_id"]
            orders.setdefault(order, set()).add(message.message_id)

    assert sum(len(ids) > 1 for ids in orders.values()) == labels(made)["same_order"]


def test_each_message_is_refused_by_the_gateway_exactly_as_it_says(made: list[Message]) -> None:
    for message in made:
        if not message.is_json:
            with pytest.raises(bodies.Unusable):
                bodies.parse(message.body)
            continue
        got = messages.read(orjson.loads(message.body), message.body, message.body, ARRIVAL)
        refused = got.reason.value if isinstance(got, Refusal) else None
        assert refused == message.refused, message.labels


def test_few_people_make_much_of_the_traffic(made: list[Message]) -> None:
    count = Counter(message.person for message in made)

    assert count.most_common(1)[0][1] > 1_000
    assert len(count) > 1_000


def test_packing_keeps_the_order_and_the_caps(made: list[Message]) -> None:
    requests = list(pack(made, Webhook("web", "secret")))

    assert sum(request.messages for request in requests) == len(made)
    paths = Counter(request.path for request in requests)
    assert paths["/segment/web"] / paths["/v1/batch"] == pytest.approx(1 / 9, rel=0.1)
    assert paths["/v1/page"]
    ids: list[str | None] = []
    for request in requests:
        body = gzip.decompress(request.body) if request.headers.get("Content-Encoding") else request.body
        assert len(body) < MOST_BYTES + 200_000
        ids += [message.get("messageId") for message in messages_of(body)]
    assert ids == [message.message_id for message in made if message.is_json]


def messages_of(body: bytes) -> list[dict[str, Any]]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return []
    return list(value if isinstance(value, list) else value.get("batch", [value]))


@pytest.fixture
async def flaky() -> AsyncIterator[tuple[str, list[bytes]]]:
    """Refuses every third request with 503, every request that isn't JSON with 400."""
    bodies_: list[bytes] = []

    async def answer(request: web.Request) -> web.Response:
        body = await request.read()
        bodies_.append(body)
        if len(bodies_) % 3 == 0:
            return web.Response(status=503, headers={"Retry-After": "0"})
        try:
            json.loads(body)
        except ValueError:
            return web.Response(status=400)
        return web.Response()

    app = web.Application(client_max_size=2**20)
    app.router.add_post("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}", bodies_
    await runner.cleanup()


async def test_a_503_is_tried_again_with_the_same_bytes_until_accepted(
    flaky: tuple[str, list[bytes]],
) -> None:
    url, seen = flaky
    told: list[int] = []
    sent = list(generate(3, 200, 3_000, START))

    counts = await send(url, "wk", sent, concurrency=4, progress=lambda counts: told.append(counts.accepted))

    broken = sum(not message.is_json for message in sent)
    assert (counts.accepted, counts.refused) == (3_000 - broken, broken)
    assert counts.retries == counts.statuses[503] > 0
    assert len(seen) - len(set(seen)) >= counts.retries
    assert told[-1] == counts.accepted


async def test_a_rate_is_kept(flaky: tuple[str, list[bytes]]) -> None:
    url, _ = flaky

    counts = await send(url, "wk", generate(3, 20, 600, START), rate=1_000, concurrency=2)

    assert counts.seconds >= 0.4


async def test_sending_waits_for_a_gateway_that_is_not_there_yet(unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await send(url, "wk", generate(3, 20, 10, START))
