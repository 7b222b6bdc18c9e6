"""Bodies are unpacked within a bound and split without one event spoiling the others."""

import gzip
import zlib
from collections.abc import Callable

import orjson
import pytest

from streams.gateway.bodies import Unusable, many, one, parse, piece, unpack

LIMIT = 10_000


def test_gzip_and_deflate_are_undone() -> None:
    body = b'{"batch":[]}'

    assert unpack(body, "", LIMIT) == unpack(body, "identity", LIMIT) == body
    assert unpack(gzip.compress(body), "gzip", LIMIT) == body
    assert unpack(gzip.compress(body[:5]) + gzip.compress(body[5:]), " GZIP ", LIMIT) == body
    assert unpack(zlib.compress(body), "deflate", LIMIT) == body


def test_a_zip_bomb_is_refused_without_being_unpacked() -> None:
    bomb = gzip.compress(b"0" * 50_000_000)

    with pytest.raises(Unusable) as refused:
        unpack(bomb, "gzip", LIMIT)

    assert refused.value.status == 413


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (b"not gzip", "gzip", 400),
        (gzip.compress(b"cut off", mtime=0)[:-9], "gzip", 400),
        (gzip.compress(b"{}", mtime=0) + b"rest", "gzip", 400),
        (b"{}", "br", 415),
    ],
)
def test_what_can_not_be_unpacked_is_refused(body: bytes, encoding: str, status: int) -> None:
    with pytest.raises(Unusable) as refused:
        unpack(body, encoding, LIMIT)

    assert refused.value.status == status


def test_a_message_gets_what_the_batch_says_for_all_and_keeps_its_own() -> None:
    batch = {
        "batch": [
            {"context": {"ip": "own"}, "messageId": "m"},
            {"sentAt": "own", "integrations": {"All": True}},
        ],
        "context": {"ip": "all", "locale": "nl"},
        "integrations": {"Klaviyo": False},
        "sentAt": "all",
    }

    first, second = (piece.value for piece in many(batch, sound=True))

    assert first["context"] == {"ip": "own", "locale": "nl"}
    assert (first["sentAt"], first["integrations"]) == ("all", {"Klaviyo": False})
    assert (second["sentAt"], second["integrations"]) == ("own", {"Klaviyo": False, "All": True})


def test_a_message_without_id_is_the_same_in_a_later_try_of_the_batch() -> None:
    tries = [many({"batch": [{"type": "page"}], "sentAt": at}, sound=True)[0] for at in ("1", "2")]

    assert tries[0].body != tries[1].body
    assert tries[0].content == tries[1].content


def test_one_unsound_event_does_not_spoil_the_batch() -> None:
    value, sound = parse(rb'{"batch":[{"a":1},{"a":NaN},{"a":"\ud800"},{"a":2}]}')

    pieces = many(value, sound=sound)

    assert not sound
    assert [piece.value for piece in pieces] == [{"a": 1}, None, None, {"a": 2}]
    assert pieces[1].body == b'{"a": NaN}'
    assert pieces[2].body == rb'{"a": "\ud800"}'


@pytest.mark.parametrize("body", [b"", b"{", b"not json", b"[1,]", b"\xff\xfe\xfd", b"[" * 100_000])
def test_what_is_no_json_by_any_reading_is_refused(body: bytes) -> None:
    with pytest.raises(Unusable) as refused:
        parse(body)

    assert (refused.value.status, refused.value.code) == (400, "invalid_json")


@pytest.mark.parametrize("batch", [{}, {"batch": None}, {"batch": {}}])
def test_a_batch_needs_an_array(batch: dict[str, object]) -> None:
    with pytest.raises(Unusable) as refused:
        many(batch, sound=True)

    assert refused.value.status == 400


def test_a_single_call_keeps_its_bytes_when_it_says_its_type() -> None:
    body = b'{ "type" : "page", "userId":"u", "n": 1.10 }'

    assert one(body, "page", orjson.loads(body), sound=True).body == body


def test_a_single_call_gets_the_type_of_its_path_and_loses_its_key() -> None:
    body = b'{"userId":"u","writeKey":"wk","type":"track"}'

    got = one(body, "page", orjson.loads(body), sound=True)

    assert orjson.loads(got.body) == got.value == {"type": "page", "userId": "u"}


def test_an_event_nested_deeper_than_the_writer_goes_is_kept() -> None:
    deep = orjson.loads(b'{"a":' * 300 + b"1" + b"}" * 300)

    assert piece(deep, sound=True).value is deep


def deep(levels: int) -> bytes:
    return b'{"a":' + b"[" * levels + b"]" * levels + b"}"


@pytest.mark.parametrize("levels", [300, 990, 1_020])
def test_however_deep_the_reader_goes_the_writer_follows(levels: int) -> None:
    body = deep(levels)

    made = piece(orjson.loads(body), sound=True)

    assert made.body.replace(b" ", b"") == body


@pytest.mark.parametrize("bad", [deep(1_030), deep(3_000), b'{"a":' + b"9" * 100_000 + b"}"])
def test_an_event_too_deep_or_a_number_too_long_does_not_spoil_the_batch(bad: bytes) -> None:
    value, sound = parse(b'{"batch":[{"a":1},' + bad + b',{"a":2}]}')

    assert [piece.value for piece in many(value, sound=sound)] == [{"a": 1}, None, {"a": 2}]


BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize("text", ['{"type":"page","n":"ü"}', '{"n":"ü"}'])
@pytest.mark.parametrize("written", [lambda text: BOM + text.encode(), lambda text: text.encode("utf-16")])
def test_what_only_the_second_reader_reads_is_kept_so_that_the_first_does(
    text: str, written: Callable[[str], bytes]
) -> None:
    body = written(text)
    value, sound = parse(body)

    made = one(body, "page", value, sound=sound)

    assert orjson.loads(made.body) == made.value == {"type": "page", "n": "ü"}


@pytest.mark.parametrize(
    ("batch", "says"),
    [
        (b'{"batch":[' + b"1," * 250_000 + b"1]}", "250001 events"),
        (b'{"context":{"a":"' + b"x" * 30_000 + b'"},"batch":[' + b"{}," * 1_000 + b"{}]}", "30050020 bytes"),
    ],
)
def test_a_batch_of_nothings_or_one_that_repeats_itself_is_refused_unbuilt(batch: bytes, says: str) -> None:
    value, sound = parse(batch)

    with pytest.raises(Unusable, match=says) as refused:
        many(value, sound=sound)

    assert refused.value.status == 413


def test_a_body_packed_in_thousands_of_parts_is_refused() -> None:
    part = gzip.compress(b"")
    assert unpack(part * 1_000, "gzip", 10) == b""

    with pytest.raises(Unusable, match="parts"):
        unpack(part * 1_001, "gzip", 10)


@pytest.mark.parametrize("blank", ["", " ", None])
def test_a_blank_id_is_none(blank: str | None) -> None:
    tries = [many({"batch": [{"messageId": blank}], "sentAt": at}, sound=True)[0] for at in ("1", "2")]

    assert tries[0].content == tries[1].content
