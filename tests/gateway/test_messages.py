"""One message becomes an envelope a space, or a refusal that names everything wrong."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.engine.layout import RECORD_BYTES
from streams.gateway.bodies import Piece
from streams.gateway.messages import Arrival, read
from streams.gateway.records import of_segment
from streams.ledger.reasons import Reason
from streams.segment.envelope import Envelope, event_uid
from streams.segment.refusal import Refusal
from tests.gateway.conftest import ENCODERS

NOW = 1_800_000_000_000
ARRIVAL = Arrival("web", ("acme",), NOW, "trace", 32_768)


def taken(message: object, arrival: Arrival = ARRIVAL) -> list[tuple[str, Envelope]]:
    body = orjson.dumps(message)
    got = read(message, body, body, arrival)
    assert not isinstance(got, Refusal), got
    return got


def one(message: object) -> Envelope:
    return taken(message)[0][1]


def refused(message: object, arrival: Arrival = ARRIVAL) -> Refusal:
    body = orjson.dumps(message)
    got = read(message, body, body, arrival)
    assert isinstance(got, Refusal), got
    return got


def test_a_track_is_read_whole() -> None:
    message = {
        "type": "track", "event": "Order Completed", "messageId": "m1", "userId": "u", "anonymousId": "a",
        "timestamp": "2026-01-01T00:00:00.5Z", "properties": {"email": "p@x.io", "phone": "1"},
        "context": {"traits": {"email": "c@x.io", "address": {"country": "NL"}}},
    }  # fmt: skip
    body = orjson.dumps(message)

    identifier, envelope = taken(message)[0]

    assert identifier == "u:u"
    assert envelope == {
        "uid": event_uid("acme", "u:u", "m1", body), "space": "acme", "accepted_at": NOW, "event_id": "m1",
        "type": "track", "name": "Order Completed", "user_id": "u", "anonymous_id": "a", "email": "c@x.io",
        "phone": "1", "country": "NL", "previous_id": "", "time": 1_767_225_600_500, "source": "web",
        "trace_id": "trace", "body": body,
    }  # fmt: skip


def test_each_space_has_its_own_record_and_uid() -> None:
    arrival = Arrival("web", ("acme", "beta"), NOW, "t", 32_768)

    first, second = (envelope for _, envelope in taken({"type": "page", "anonymousId": "a"}, arrival))

    assert (first["space"], second["space"]) == ("acme", "beta")
    assert first["uid"] != second["uid"]
    assert first["event_id"] == first["uid"].hex()


@pytest.mark.parametrize(
    ("extra", "identifier"),
    [
        ({"userId": "u", "anonymousId": "a"}, "u:u"),
        ({"userId": 12345}, "u:12345"),
        ({"userId": 12.0}, "u:12"),
        ({"userId": "", "anonymousId": "a"}, "a:a"),
        ({"userId": None, "anonymousId": 7}, "a:7"),
        ({"traits": {"email": "e@x.io"}}, "e:e@x.io"),
        ({"context": {"traits": {"email": "e@x.io"}}}, "e:e@x.io"),
        ({"traits": {"email": " ", "phone": "+31"}}, "p:+31"),
        ({"traits": {"phone": 31612345678}}, "p:31612345678"),
    ],
)
def test_the_first_identifier_there_is_types_the_event(extra: dict[str, Any], identifier: str) -> None:
    assert taken({"type": "identify", **extra})[0][0] == identifier


def test_traits_of_a_group_are_not_a_persons() -> None:
    group = {"type": "group", "groupId": "g", "userId": "u", "traits": {"email": "office@corp.io"}}

    assert one(group)["email"] == ""


def test_alias_names_whom_it_follows() -> None:
    assert one({"type": "alias", "previousId": 9, "userId": "u"})["previous_id"] == "9"


@pytest.mark.parametrize(
    ("times", "ms"),
    [
        ({"timestamp": "x", "originalTimestamp": "2026-01-01T00:00:00Z"}, 1_767_225_600_000),
        ({"timestamp": "never"}, NOW),
        ({}, NOW),
        ({"timestamp": 1767225600}, 1_767_225_600_000),
    ],
)
def test_an_unreadable_time_is_the_receipt(times: dict[str, Any], ms: int) -> None:
    assert one({"type": "page", "userId": "u", **times})["time"] == ms


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ([], "must be an object, this is an array"),
        (None, "must be an object, this is null"),
        ({"userId": "u"}, "type must be one of alias, group, identify, page, screen, track, this is missing"),
        ({"type": "trak", "userId": "u"}, "this is 'trak'"),
        ({"type": ["track"], "userId": "u"}, "this is an array"),
        ({"type": "track", "userId": "u"}, "a track needs event"),
        ({"type": "track", "userId": "u", "event": " "}, "a track needs event"),
        ({"type": "track", "userId": "u", "event": "x" * 1025}, "event has 1025 characters"),
        ({"type": "page"}, "names nobody: it needs userId or anonymousId"),
        ({"type": "page", "traits": {"email": "e@x.io"}}, "names nobody"),
        ({"type": "page", "userId": True}, "userId must be a string, this is a boolean"),
        ({"type": "page", "userId": {}}, "userId must be a string, this is an object"),
        ({"type": "page", "userId": "u" * 256}, "userId has 256 characters, the most is 255"),
        ({"type": "page", "userId": "u", "messageId": "m" * 256}, "messageId has 256 characters"),
        ({"type": "page", "userId": "u", "properties": []}, "properties must be an object, this is an array"),
        ({"type": "page", "userId": "u", "context": "x"}, "context must be an object, this is a string"),
        ({"type": "alias", "userId": "u"}, "an alias needs previousId"),
        ({"type": "alias", "previousId": "p", "anonymousId": "a"}, "an alias needs userId"),
        ({"type": "group", "userId": "u"}, "a group needs groupId"),
    ],
)
def test_a_refusal_says_what_was_found_and_what_is_expected(message: object, says: str) -> None:
    refusal = refused(message)

    assert refusal.reason is Reason.INVALID_MESSAGE
    assert says in refusal.detail


def test_every_violation_is_named() -> None:
    refusal = refused({"type": "track", "messageId": "m1", "properties": 3})

    assert refusal.event_id == "m1"
    for part in ("event", "properties", "names nobody"):
        assert part in refusal.detail


def test_an_event_above_the_cap_is_too_large() -> None:
    message = {"type": "page", "userId": "u", "properties": {"x": "y" * 32_768}}

    assert refused(message).reason is Reason.TOO_LARGE
    assert one({"type": "page", "userId": "u", "properties": {"x": "y" * 32_000}})


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)
fields = st.sampled_from(
    ["type", "userId", "anonymousId", "messageId", "event", "traits", "properties", "context", "timestamp",
     "previousId", "groupId", "name"]
)  # fmt: skip


@given(st.dictionaries(fields, json_values | st.sampled_from(["track", "page", "alias", "u"])))
def test_whatever_is_sent_is_read_or_refused_and_never_raises(message: dict[str, Any]) -> None:
    got = read(message, b"{}", b"{}", ARRIVAL)

    assert isinstance(got, Refusal) or got[0][1]["space"] == "acme"
    assert not isinstance(got, Refusal) or got.detail


def test_a_dead_letter_fits_a_record_however_large_batches_may_be() -> None:
    body = orjson.dumps({"type": "page", "userId": "u", "properties": {"x": "y" * 3_000_000}})
    piece = Piece(body, orjson.loads(body), body)

    out = of_segment([piece], ARRIVAL, ENCODERS, 4)

    assert out.refused == [Reason.TOO_LARGE]
    assert len(out.topics["dead.letters"][0]["value"]) < RECORD_BYTES


def test_ids_that_only_differ_where_floats_end_are_never_one_person() -> None:
    bodies = [b'{"type":"page","userId":10987654321098765432%d}' % n for n in (1, 2)]

    got = [read(orjson.loads(body), body, body, ARRIVAL) for body in bodies]

    assert all(isinstance(each, Refusal) and "send it as a string" in each.detail for each in got)
    assert one({"type": "page", "userId": 2**64 - 1})["user_id"] == "18446744073709551615"
    assert one({"type": "page", "userId": 1e15})["user_id"] == "1000000000000000"
