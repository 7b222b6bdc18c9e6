"""Klaviyo's webhook: signed, one engagement record an item, in the partition of the account's space."""

import asyncio
import hmac
import time
from email.utils import formatdate
from hashlib import sha256
from typing import Any

import orjson
import pytest

from streams.engine.layout import RECORD_BYTES
from streams.gateway.bodies import piece
from streams.gateway.records import of_klaviyo
from streams.klaviyo.engagement import Delivery, read
from streams.ledger.reasons import Reason
from streams.segment.refusal import Refusal
from streams.simulators.klaviyo.config import SimConfig, Webhook
from streams.simulators.klaviyo.server import serve
from tests.gateway.conftest import ENCODERS, KLAVIYO_SECRET, Running

ID = "wh-1"


def item(**attributes: Any) -> dict[str, Any]:
    return {
        "external_id": "EV1",
        "topic": "event:klaviyo.opened_email",
        "payload": {
            "data": {
                "type": "event",
                "id": "EV1",
                "attributes": {"datetime": "2026-01-01T00:00:00+00:00", "event_properties": {}, **attributes},
                "relationships": {"profile": {"data": {"type": "profile", "id": "KP1"}}},
            },
            "included": [
                {
                    "type": "profile",
                    "id": "KP1",
                    "attributes": {"email": "p@x.io", "phone_number": "+31612345678", "external_id": "u1"},
                }
            ],
        },
    }


def webhook(*items: Any, meta: str = ID) -> bytes:
    return orjson.dumps({"data": list(items), "meta": {"klaviyo_webhook_id": meta, "timestamp": "x"}})


def signed(body: bytes, *, secret: str = KLAVIYO_SECRET, at: float | None = None) -> dict[str, str]:
    stamp = formatdate(time.time() if at is None else at, usegmt=True)
    signature = hmac.new(secret.encode(), body + stamp.encode(), sha256).hexdigest()
    return {"Klaviyo-Webhook-Id": ID, "Klaviyo-Timestamp": stamp, "Klaviyo-Signature": signature}


@pytest.mark.parametrize("secret", [KLAVIYO_SECRET, "k2"])
async def test_each_item_is_a_record_in_its_spaces_slot(gateway: Running, secret: str) -> None:
    body = webhook(item(), item())

    status, _, _ = await gateway.post("/klaviyo/acme", body, headers=signed(body, secret=secret))

    assert status == 200
    topic, partition, key, value = gateway.sink.kept[0]
    assert (topic, partition, key, len(gateway.sink.kept)) == ("klaviyo.engagement", 3, b"acme\0u:u1", 2)
    assert value | {"accepted_at": 0, "body": b""} == {
        "space": "acme", "accepted_at": 0, "event_id": "EV1", "account": "acme",
        "topic": "event:klaviyo.opened_email", "email": "p@x.io", "phone": "+31612345678",
        "external_id": "u1", "klaviyo_id": "KP1", "time": 1_767_225_600_000, "body": b"",
    }  # fmt: skip
    assert orjson.loads(value["body"]) == item()


async def test_an_unreadable_item_is_a_dead_letter_and_the_others_are_taken(gateway: Running) -> None:
    body = webhook(item(), 7, {"payload": None})

    status, _, _ = await gateway.post("/klaviyo/acme", body, headers=signed(body))

    assert status == 200
    assert len(gateway.sink.of("klaviyo.engagement")) == 1
    letters = gateway.sink.letters
    assert [letter["account"] for letter in letters] == ["acme", "acme"]
    assert letters[1]["origin"]["line"] == "engagement"
    for part in ("external_id", "topic", "names no profile"):
        assert part in letters[1]["detail"]


def test_an_item_too_large_for_the_line_is_a_dead_letter_and_the_others_are_taken() -> None:
    pieces = [piece(item(event_properties={"x": "y" * n}), sound=True) for n in (2_500_000, 1)]

    out = of_klaviyo(pieces, Delivery("acme", "acme", 1), "t", 3, encoders=ENCODERS, partitions=4)

    assert (out.events, out.refused) == (1, [Reason.TOO_LARGE])
    (letter,) = out.topics["dead.letters"]
    assert letter["key"] == b"acme\0EV1"
    assert len(letter["value"]) < RECORD_BYTES


async def test_what_klaviyo_did_not_sign_now_is_401(gateway: Running) -> None:
    body = webhook(item())
    wrong = [
        {},
        signed(body, secret="other"),
        signed(body, at=time.time() - 50 * 3600),
        signed(webhook()),
        signed(body) | {"Klaviyo-Webhook-Id": "wh-2"},
    ]

    statuses = [(await gateway.post("/klaviyo/acme", body, headers=headers))[0] for headers in wrong]

    assert statuses == [401] * 5
    assert gateway.sink.kept == []


async def test_what_klaviyo_signed_as_long_ago_as_it_tries_again_is_taken(gateway: Running) -> None:
    body = webhook(item())
    answer = await gateway.post("/klaviyo/acme", body, headers=signed(body, at=time.time() - 47 * 3600))
    assert answer[0] == 200
    assert len(gateway.sink.kept) == 1


async def test_a_signed_body_of_the_wrong_shape_is_400(gateway: Running) -> None:
    for body in (b"[]", b"{}", b"{"):
        assert (await gateway.post("/klaviyo/acme", body, headers=signed(body)))[0] == 400


async def test_without_a_slot_the_webhook_is_503(gateway: Running) -> None:
    gateway.state.slots = None
    body = webhook(item())

    assert (await gateway.post("/klaviyo/acme", body, headers=signed(body)))[0] == 503


@pytest.mark.parametrize(
    ("payload", "identifier"),
    [
        ({"data": {"attributes": {"event_properties": {"$email": "e@x.io"}}}}, "e:e@x.io"),
        ({"data": {"attributes": {"profile": {"data": {"attributes": {"external_id": "u"}}}}}}, "u:u"),
        ({"attributes": {"profile": {"phone_number": "+31"}}}, "p:+31"),
        ({"data": {"relationships": {"profile": {"data": {"id": "K"}}}}}, "k:K"),
    ],
)
def test_the_person_is_found_wherever_the_payload_names_them(
    payload: dict[str, Any], identifier: str
) -> None:
    got = read({"external_id": "E", "topic": "t", "payload": payload}, b"{}", Delivery("acme", "acme", 5))

    assert not isinstance(got, Refusal)
    assert got[0] == identifier
    assert got[1]["time"] == 5


async def test_the_simulators_webhook_is_read_whole(gateway: Running) -> None:
    hook = Webhook(url=f"{gateway.url}/klaviyo/acme", secret=KLAVIYO_SECRET)
    config = SimConfig(keys={"pk": "acme"}, webhooks={"acme": hook})
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    simulator = asyncio.create_task(serve(0, config, ready.set_result))
    asked = {"account": "acme", "email": "p@x.io", "metric": "Opened Email", "n": 3}
    async with gateway.http.post(await ready + "/sim/engage", json=asked) as reply:
        assert reply.status == 200
    async with asyncio.timeout(10):
        while len(gateway.sink.kept) < 3:
            await asyncio.sleep(0.01)
    simulator.cancel()
    await asyncio.wait((simulator,))

    events = gateway.sink.of("klaviyo.engagement")
    assert len({event["event_id"] for event in events}) == 3
    assert {event["email"] for event in events} == {"p@x.io"}
    assert {event["topic"] for event in events} == {"event:klaviyo.opened_email"}
    assert all(event["klaviyo_id"] and abs(event["time"] / 1000 - time.time()) < 60 for event in events)
