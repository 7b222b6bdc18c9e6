"""What Klaviyo adds to its answers is handed on, counted by endpoint and field, and never an error."""

import logging
from time import monotonic

import orjson
import pytest
from aiohttp.test_utils import TestServer

from streams.engine import telemetry
from streams.klaviyo import audience, client, drift, imports, receipts
from streams.klaviyo.client import Client
from streams.klaviyo.replies import Accepted, RejectedWhole, read
from streams.klaviyo.requests import Request, profile_import
from streams.simulators.klaviyo.config import SimConfig
from streams.simulators.klaviyo.server import make_app

ASKED = audience.find_profiles("email", ["a@shop.io"])


def test_a_new_field_is_told_by_its_path_and_handed_on() -> None:
    document = {
        "data": [
            {"type": "profile", "id": "1", "attributes": {"email": "a", "nick": 1, "properties": {"own": 1}}},
            {"type": "profile", "id": "2", "score": 9, "attributes": {"location": {"planet": "Mars"}}},
        ],
        "meta": {"hints": []},
    }
    reply = read(200, {}, orjson.dumps(document), ASKED)
    assert set(reply.unknown) == {
        "meta", "data.attributes.nick", "data.score", "data.attributes.location.planet"
    }  # fmt: skip
    assert reply.verdict == Accepted(data=document["data"])


def test_a_new_field_of_an_error_changes_no_verdict() -> None:
    body = orjson.dumps({"errors": [{"detail": "no", "severity": "low", "source": {"line": 3}}]})
    reply = read(400, {}, body, ASKED)
    assert reply.verdict == RejectedWhole("HTTP 400: no")
    assert set(reply.unknown) == {"errors.severity", "errors.source.line"}


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[1]", b'{"data": [1, null]}', b'{"errors": "none"}', b"{}"]
)
def test_what_is_no_answer_has_no_new_fields(body: bytes) -> None:
    assert read(200, {}, body, ASKED).unknown == ()


def test_what_people_store_is_theirs_and_no_news() -> None:
    row = {"type": "event", "id": "1", "attributes": {"event_properties": {"any": {"thing": 1}}}}
    assert drift.unknown({"data": [row]}) == ()


def test_an_endpoint_is_named_without_ids() -> None:
    assert drift.endpoint(audience.find_list("name", "x")) == "GET /api/lists"
    assert drift.endpoint(audience.list_size("XyZ")) == "GET /api/lists/{id}"
    assert (
        drift.endpoint(imports.errors("job1", None)) == "GET /api/profile-bulk-import-jobs/{id}/import-errors"
    )


def test_one_answer_tells_a_bounded_number_of_fields() -> None:
    assert len(drift.unknown({f"new{n}": n for n in range(1000)})) == drift.MOST


@pytest.fixture
def unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_seen", set())
    monkeypatch.setattr(client, "_MOST", 2)
    telemetry.collect()


async def test_it_is_counted_each_time_and_logged_once(
    unseen: None, caplog: pytest.LogCaptureFixture
) -> None:
    fault = {"status": 200, "body": orjson.dumps({"data": [], "brand_new": 1}).decode()}
    async with TestServer(make_app(SimConfig(keys={"pk": "acme"})), host="127.0.0.1") as server:
        made = Client(str(server.make_url("")), "pk")
        session = made._open()
        async with session.post(
            server.make_url("/sim/faults"),
            json={"match": {"path": "/api/profiles"}, "do": fault, "rate": 1.0},
        ) as told:
            assert told.status == 201, await told.text()
        with caplog.at_level(logging.WARNING, "streams"):
            for _ in range(3):
                reply = await made.call(ASKED, monotonic() + 5)
                assert reply is not None
                assert reply.verdict == Accepted(data=[])
        await made.close()
    ours = [record.message for record in caplog.records if record.name == "streams"]
    assert ours == ["unknown_field"]  # a server's are there, too, once a command has begun to log
    (line,) = [each for each in telemetry.metrics_text().splitlines() if "brand_new" in each]
    assert line.startswith("streams_klaviyo_unknown_fields_total{")
    assert 'endpoint="GET /api/profiles"' in line
    assert int(float(line.rpartition(" ")[2])) == 3


@pytest.mark.usefixtures("unseen")
def test_names_are_bounded_beyond_them_is_others() -> None:
    many = read(200, {}, orjson.dumps({"data": [], "n1": 1, "n2": 1, "n3": 1}), ASKED)
    client._told(ASKED, many)
    assert {field for _, field in client._seen} == {"n1", "n2"}
    assert 'field="others"' in telemetry.metrics_text()


def _asked() -> list[Request]:
    return [
        profile_import({"email": "a@shop.io"}, {"title": "T", "location": {"city": "C"}}),
        audience.create_list("VIP"),
        audience.find_list("name", "VIP"),
        audience.find_profiles("email", ["a@shop.io"], subscriptions=True),
        audience.find_properties("email", "a@shop.io"),
        receipts.find_metrics(None),
        imports.create([{"email": "b@shop.io"}], [(0,)]),
    ]


async def test_the_simulator_answers_with_nothing_that_klaviyo_does_not_have() -> None:
    async with TestServer(make_app(SimConfig(keys={"pk": "acme"})), host="127.0.0.1") as server:
        made = Client(str(server.make_url("")), "pk")
        for request in _asked():
            reply = await made.call(request, monotonic() + 5)
            assert reply is not None
            assert (reply.status // 100, reply.unknown) == (2, ()), request.path
        await made.close()
