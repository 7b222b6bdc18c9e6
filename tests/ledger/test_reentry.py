"""Each stage's letter goes back to where that stage reads, its bytes the same but for the redrive's id."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from streams.config import Config, load
from streams.engine.codec import Codec
from streams.engine.partition import partition_of
from streams.engine.slots import Slots
from streams.gateway.readmit import readmit
from streams.ledger.reentry import Line, Reentry, Stays, again, reentry
from tests.ledger.said import origin, refuses
from tests.line import PIPELINE, track

SLOTS = Slots({"acme": 2}, {"acme": 3, "gone": 1})


@cache
def codec(name: str) -> Codec:
    made = Codec(name, {})
    made.own([1])
    return made


@pytest.fixture
def line(tmp_path: Path) -> Line:
    file = tmp_path / "pipeline.yaml"
    file.write_text(PIPELINE)
    config: Config = load(file, {})
    return Line(config, SLOTS, codec)


PERSON: dict[str, Any] = {
    "id": "p", "email": None, "phone": None, "user_id": None, "anonymous_ids": [], "email_at": -1,
    "phone_at": -1,
}  # fmt: skip


def letter(stage: str, schema: str, record: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**refuses(stage, 7, **more), "bytes": codec(schema).encode(record)}


def operation(account: str = "acme", **more: Any) -> dict[str, Any]:
    return {
        "op_id": "d", "account": account, "kind": "event", "origin": origin(7), "event_id": "e7",
        "profile": PERSON,
        "time": 1, "backfill": False, "payload": b"{}", **more,
    }  # fmt: skip


def made(found: Reentry | Stays) -> Reentry:
    assert isinstance(found, Reentry), found
    return found


@pytest.mark.parametrize(
    ("stage", "lane", "topic"),
    [("deliver", "lists", "klaviyo.lists.backfill"), ("feedback", "segment", "segment.outbound.backfill")],
)
def test_an_operation_goes_to_its_account_on_the_twin_of_its_lane(
    line: Line, stage: str, lane: str, topic: str
) -> None:
    found = made(reentry(letter(stage, "operation", operation(), lane=lane), "run", line))
    assert (found.topic, found.partition, found.key, found.anew) == (topic, 3, b"acme\0p", False)
    sent = codec("operation").decode(found.value)
    assert sent.pop("origin") == origin(7, replay="run")
    assert sent == {key: value for key, value in operation().items() if key != "origin"}


def test_a_profile_event_goes_to_its_person_s_partition(line: Line) -> None:
    record = {"event": b"x", "origin": origin(7), "profile": operation()["profile"], "late": True}
    found = made(reentry(letter("route", "profile_event", record, account="acme"), "run", line))
    assert (found.topic, found.partition) == ("profile.events.backfill", partition_of(b"p", 4))
    sent = codec("profile_event").decode(found.value)
    assert {key: sent[key] for key in record} == record | {"origin": origin(7, replay="run")}


def test_a_unique_record_goes_to_its_space(line: Line) -> None:
    record = {"event": b"x", "origin": origin(7)}
    found = made(reentry(letter("identify", "unique", record), "run", line))
    assert (found.topic, found.partition) == ("segment.unique.backfill", 2)
    assert codec("unique").decode(found.value) == {"event": b"x", "origin": origin(7, replay="run")}


def test_an_envelope_enters_anew_where_its_identifier_belongs(line: Line) -> None:
    record: Any = track(1, user_id="u1")
    found = made(reentry(letter("dedupe", "envelope", record), "run", line))
    assert found.anew
    assert (found.topic, found.partition) == ("segment.events.backfill", partition_of(b"acme\0u:u1", 4))
    assert codec("envelope").decode(found.value) == record


@pytest.mark.parametrize("stage", ["dedupe", "identify", "route", "deliver", "feedback"])
def test_what_still_can_t_be_read_stays(line: Line, stage: str) -> None:
    found = reentry({**refuses(stage, 7, lane="events"), "bytes": b"\0\0\0\0\1"}, "run", line)
    assert isinstance(found, Stays)
    assert "still" in found.why


def test_what_is_for_an_account_that_is_gone_stays(line: Line) -> None:
    found = reentry(letter("deliver", "operation", operation("gone"), lane="events"), "run", line)
    assert found == Stays("account gone is not configured")


BODY = b'{"type":"track","event":"Order Completed","userId":"u1","messageId":"m1"}'


def test_a_message_that_the_gateway_refused_is_read_by_today_s_rules(line: Line) -> None:
    found = made(readmit({**refuses("gateway", -1, partition=-1), "bytes": BODY}, line))
    assert (found.topic, found.partition) == ("segment.events.backfill", partition_of(b"acme\0u:u1", 4))
    sent = codec("envelope").decode(found.value)
    assert (sent["event_id"], sent["accepted_at"], sent["source"], sent["body"]) == ("m1", 1_000, "web", BODY)


def test_an_engagement_that_the_gateway_refused_goes_to_its_space(line: Line) -> None:
    item = (
        b'{"external_id":"k1","topic":"event:klaviyo.opened_email",'
        b'"payload":{"data":{"attributes":{"properties":{"email":"a@b.example"}}}}}'
    )
    refused = refuses("gateway", -1, partition=-1, line="engagement", account="acme")
    found = made(readmit({**refused, "bytes": item}, line))
    assert (found.topic, found.partition) == ("klaviyo.engagement.backfill", 2)
    assert codec("engagement").decode(found.value)["body"] == item


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"nope", "still no JSON"),
        (b'{"type":"track"}', "still invalid_message"),
        (b"[]", "must be an object"),
    ],
)
def test_a_message_that_is_as_bad_as_before_stays(line: Line, body: bytes, why: str) -> None:
    found = readmit({**refuses("gateway", -1, partition=-1), "bytes": body}, line)
    assert isinstance(found, Stays)
    assert why in found.why


def test_a_message_for_a_space_that_is_gone_stays(line: Line) -> None:
    found = readmit({**refuses("gateway", -1), "bytes": BODY, "origin": origin(-1) | {"space": "old"}}, line)
    assert found == Stays("space old is not configured")


def test_an_accepted_record_goes_behind_dedupe_untouched(line: Line) -> None:
    data = codec("envelope").encode(track(1, user_id="u1"))
    found = made(again(data, b"key", origin(7), "run", line))
    assert (found.topic, found.partition, found.key) == ("segment.unique.backfill", 2, b"key")
    record = codec("unique").decode(found.value)
    assert record == {"event": data, "origin": origin(7, replay="run")}


def test_an_accepted_record_of_a_space_that_is_served_no_more_stays(line: Line) -> None:
    found = again(b"", b"", {**origin(7), "space": "gone"}, "run", line)
    assert found == Stays("space gone is not configured")
