"""Status codes are the gateway's whole error model: each one over real HTTP, with a list for a broker."""

import asyncio
import base64
import gzip
import hmac
from hashlib import sha1
from typing import Any

import orjson
import pytest

from streams.segment.envelope import event_uid
from tests.gateway.conftest import (
    OLD_KEY,
    OLD_SECRET,
    SECRET,
    TWO_SPACES_KEY,
    WRITE_KEY,
    Running,
    partition_of,
)

PAGE = b'{"type":"page","messageId":"m1","anonymousId":"a1"}'


def basic(key: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}


def batch(*messages: Any, **rest: Any) -> bytes:
    return orjson.dumps({"batch": list(messages), **rest})


def sign(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, sha1).hexdigest()


@pytest.mark.parametrize("kind", ["track", "identify", "page", "screen", "group", "alias"])
async def test_a_single_call_is_one_record_in_the_partition_of_its_person(
    gateway: Running, kind: str
) -> None:
    body = orjson.dumps({"type": kind, "userId": "u", "event": "E", "groupId": "g", "previousId": "p"})

    status, answer, _ = await gateway.post(f"/v1/{kind}", body, headers=basic(WRITE_KEY))

    assert (status, answer) == (200, {"success": True})
    [(topic, partition, key, envelope)] = gateway.sink.kept
    assert (topic, key) == ("segment.events", b"acme\0u:u")
    assert partition == partition_of(key)
    assert (envelope["type"], envelope["source"], envelope["body"]) == (kind, "web", body)
    assert envelope["uid"] == event_uid("acme", "u:u", None, body)


@pytest.mark.parametrize("key", [WRITE_KEY, OLD_KEY])
async def test_the_write_key_stands_in_the_header_or_in_the_body(gateway: Running, key: str) -> None:
    message = {"type": "page", "userId": "u"}
    odd = {"Authorization": "basic " + base64.b64encode(f"{key}:password".encode()).decode()}

    in_header = await gateway.post("/v1/batch", batch(message), headers=basic(key))
    in_odd_header = await gateway.post("/v1/batch", batch(message), headers=odd)
    in_body = await gateway.post("/v1/batch", batch(message, writeKey=key))
    in_single_body = await gateway.post("/v1/page", orjson.dumps({"userId": "u", "writeKey": key}))

    assert [answer[0] for answer in (in_header, in_odd_header, in_body, in_single_body)] == [200] * 4
    assert key.encode() not in b"".join(event["body"] for event in gateway.sink.events)


@pytest.mark.parametrize(
    "headers", [{}, basic("wrong"), {"Authorization": "Basic %%"}, {"Authorization": "Bearer x"}]
)
async def test_an_unknown_key_is_401(gateway: Running, headers: dict[str, str]) -> None:
    status, answer, _ = await gateway.post("/v1/page", PAGE, headers=headers)

    assert (status, answer["error"]["code"]) == (401, "unauthorized")
    assert gateway.sink.kept == []


async def test_a_batch_is_a_record_each_packed_or_not(gateway: Running) -> None:
    body = batch(
        *({"type": "page", "userId": f"u{n}", "messageId": f"m{n}"} for n in range(100)), sentAt="2026"
    )

    plain = await gateway.post("/v1/batch", body, headers=basic(WRITE_KEY))
    packed = await gateway.post(
        "/v1/batch", gzip.compress(body), headers=basic(WRITE_KEY) | {"Content-Encoding": "gzip"}
    )

    assert plain[0] == packed[0] == 200
    ids = [event["event_id"] for event in gateway.sink.events]
    assert ids == [f"m{n}" for n in range(100)] * 2
    assert orjson.loads(gateway.sink.events[0]["body"])["sentAt"] == "2026"


async def test_a_source_of_two_spaces_makes_a_record_in_each(gateway: Running) -> None:
    good, broken = {"type": "page", "userId": "u"}, {"type": "nope"}

    await gateway.post("/v1/batch", batch(good, broken), headers=basic(TWO_SPACES_KEY))

    assert [event["space"] for event in gateway.sink.events] == ["acme", "beta"]
    assert [letter["origin"]["space"] for letter in gateway.sink.letters] == ["acme", "beta"]


async def test_broken_events_in_a_good_batch_are_dead_letters_and_the_batch_is_accepted(
    gateway: Running,
) -> None:
    large = {"type": "page", "userId": "u", "properties": {"x": "y" * 33_000}}
    body = batch({"type": "page", "userId": "u"}, {"type": "track", "messageId": "m"}, 7, large, None)

    status, _, _ = await gateway.post("/v1/batch", body, headers=basic(WRITE_KEY))

    assert status == 200
    assert len(gateway.sink.events) == 1
    letters = gateway.sink.letters
    reasons = ["invalid_message", "invalid_message", "too_large", "invalid_message"]
    assert [letter["reason"] for letter in letters] == reasons
    first = letters[0]
    assert first["stage"] == "gateway"
    assert first["origin"] | {"accepted_at": 0} == {
        "line": "events", "space": "acme", "partition": -1, "offset": -1, "accepted_at": 0, "replay": None
    }  # fmt: skip
    assert "event" in first["detail"]
    assert "names nobody" in first["detail"]
    assert (first["event_id"], orjson.loads(first["bytes"])) == ("m", {"type": "track", "messageId": "m"})


async def test_unsound_json_in_one_event_is_its_dead_letter_only(gateway: Running) -> None:
    body = rb'{"batch":[{"type":"page","userId":"u"},{"type":"page","userId":"u","x":NaN}]}'

    status, _, _ = await gateway.post("/v1/batch", body, headers=basic(WRITE_KEY))

    assert (status, len(gateway.sink.events)) == (200, 1)
    assert [letter["reason"] for letter in gateway.sink.letters] == ["invalid_json"]


async def test_a_large_single_event_is_a_dead_letter_with_its_bytes(gateway: Running) -> None:
    body = orjson.dumps({"type": "page", "userId": "u", "properties": {"x": "y" * 100_000}})

    status, _, _ = await gateway.post("/v1/page", body, headers=basic(WRITE_KEY))

    assert status == 200
    assert gateway.sink.letters[0]["bytes"] == body


@pytest.mark.parametrize("body", [b"", b"{", b"track!", b"\xff\xfe"])
async def test_a_body_that_is_no_json_is_400_with_a_hint(gateway: Running, body: bytes) -> None:
    status, answer, _ = await gateway.post("/v1/batch", body, headers=basic(WRITE_KEY))

    assert (status, answer["error"]["code"]) == (400, "invalid_json")
    assert answer["error"]["message"]
    assert answer["error"]["hint"]


@pytest.mark.parametrize("body", [b"[]", b"7", b'"x"', b"null", b"{}", b'{"batch":{}}'])
async def test_json_of_the_wrong_shape_is_400(gateway: Running, body: bytes) -> None:
    status, answer, _ = await gateway.post("/v1/batch", body, headers=basic(WRITE_KEY))

    assert (status, answer["error"]["code"]) == (400, "invalid_body")


async def test_a_body_above_the_cap_is_413_packed_or_not(gateway: Running) -> None:
    large = batch({"x": "y" * 600_000})
    bomb = gzip.compress(b"0" * 50_000_000)  # made before, for connections idle meanwhile
    auth = basic(WRITE_KEY)

    async def chunks() -> Any:
        for start in range(0, len(large), 50_000):
            yield large[start : start + 50_000]

    plain = await gateway.post("/v1/batch", large, headers=auth)
    packed = await gateway.post("/v1/batch", bomb, headers=auth | {"Content-Encoding": "gzip"})
    chunked = await gateway.http.post(
        gateway.url + "/v1/batch", data=chunks(), headers=auth | {"Content-Type": "text/plain"}
    )

    assert [plain[0], packed[0], chunked.status] == [413, 413, 413]
    assert plain[1]["error"]["code"] == "too_large"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/xml"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Encoding": "br"}, 415),
        ({"Content-Type": "text/plain;charset=UTF-8"}, 200),
        ({"Content-Type": "application/json; charset=utf-8"}, 200),
    ],
)
async def test_content_types_other_than_json_are_415(
    gateway: Running, headers: dict[str, str], status: int
) -> None:
    assert (await gateway.post("/v1/page", PAGE, headers=basic(WRITE_KEY) | headers))[0] == status


@pytest.mark.parametrize(
    "path", ["/", "/v1/nope", "/v2/batch", "/segment/unknown", "/klaviyo/unknown", "/metrics"]
)
async def test_unknown_paths_sources_and_accounts_are_404(gateway: Running, path: str) -> None:
    status, answer, _ = await gateway.post(path, PAGE, headers=basic(WRITE_KEY))

    assert (status, answer["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["/v1/batch", "/segment/web", "/klaviyo/acme"])
async def test_other_methods_are_405(gateway: Running, path: str) -> None:
    async with gateway.http.get(gateway.url + path) as reply:
        assert reply.status == 405
        assert "POST" in reply.headers["Allow"]
        assert (await reply.json())["error"]["code"] == "method_not_allowed"


async def test_a_browser_may_ask_first(gateway: Running) -> None:
    async with gateway.http.options(gateway.url + "/v1/batch") as reply:
        assert (reply.status, reply.headers["Access-Control-Allow-Origin"]) == (204, "*")


async def test_the_broker_away_is_503_with_retry_after(gateway: Running) -> None:
    gateway.sink.away = True

    status, answer, headers = await gateway.post("/v1/page", PAGE, headers=basic(WRITE_KEY))

    assert (status, answer["error"]["code"]) == (503, "unavailable")
    assert int(headers["Retry-After"]) > 0


async def test_an_outage_is_a_line_now_and_then_not_one_a_request(
    gateway: Running, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.sink.away = True
    for _ in range(5):
        assert (await gateway.post("/v1/page", PAGE, headers=basic(WRITE_KEY)))[0] == 503

    told = [record for record in caplog.records if record.getMessage() == "unavailable"]
    assert [record.__dict__["facts"]["requests"] for record in told] == [1]


@pytest.mark.parametrize("unknown", ["encoders", "slots"])
async def test_before_registry_and_slots_are_known_posts_are_503(gateway: Running, unknown: str) -> None:
    """A record of a space without a slot would stop dedupe for all spaces."""
    setattr(gateway.state, unknown, None)

    status, _, headers = await gateway.post("/v1/page", PAGE, headers=basic(WRITE_KEY))

    assert status == 503
    assert "Retry-After" in headers


async def test_200_waits_for_the_acknowledgement(gateway: Running) -> None:
    gateway.sink.gate = asyncio.Event()
    asked = asyncio.ensure_future(gateway.post("/v1/page", PAGE, headers=basic(WRITE_KEY)))
    done, _ = await asyncio.wait((asked,), timeout=0.2)
    assert not done

    gateway.sink.gate.set()

    assert (await asked)[0] == 200


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
@pytest.mark.parametrize("header", ["X-Segment-Signature", "X-Signature"])
async def test_a_signed_webhook_is_taken_object_or_array(gateway: Running, header: str, secret: str) -> None:
    array = b'[ {"type": "page", "userId": "u"}, {"type": "page", "userId": "v"} ]'

    for body in (PAGE, array):
        assert (await gateway.post("/segment/web", body, headers={header: sign(body, secret)}))[0] == 200

    assert gateway.sink.events[0]["body"] == PAGE
    assert len(gateway.sink.events) == 3


async def test_an_array_signed_by_its_first_element_is_taken_and_counted_as_weak(gateway: Running) -> None:
    body = b'[{"type":"page","userId":"u"},{"type":"page","userId":"v"}]'
    headers = {"X-Signature": sign(b'{"type":"page","userId":"u"}')}

    assert (await gateway.post("/segment/web", body, headers=headers))[0] == 200
    assert gateway.metrics.weak["web"] == 1


@pytest.mark.parametrize("headers", [{}, {"X-Signature": "0" * 40}, {"X-Segment-Signature": sign(b"other")}])
async def test_a_webhook_with_a_wrong_signature_is_401(gateway: Running, headers: dict[str, str]) -> None:
    assert (await gateway.post("/segment/web", PAGE, headers=headers))[0] == 401
    assert (await gateway.post("/segment/app", PAGE, headers=headers))[0] == 401


async def test_requests_are_counted(gateway: Running) -> None:
    await gateway.post("/v1/batch", batch({"type": "page", "userId": "u"}, 1), headers=basic(WRITE_KEY))

    text = gateway.metrics.text(5)

    assert 'streams_gateway_requests_total{route="v1",status="200"} 1' in text
    assert 'streams_gateway_records_total{source="web"} 1' in text
    assert 'streams_gateway_refused_total{reason="invalid_message"} 1' in text
    assert "streams_gateway_request_seconds_count 1" in text
