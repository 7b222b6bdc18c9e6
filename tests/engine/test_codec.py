import copy
import json
from contextlib import suppress
from typing import Any

import pytest
from fastavro import parse_schema
from hypothesis import given
from hypothesis import strategies as st

from streams.engine.codec import Codec, Unlearned, schema_id, schema_text
from streams.engine.encoding import compile_writer
from streams.engine.errors import Misconfigured, Unreadable
from streams.engine.topics import TOPICS

ENVELOPE: dict[str, Any] = {
    "uid": bytes(16),
    "space": "acme",
    "accepted_at": 1,
    "event_id": "e",
    "type": "track",
    "name": "",
    "user_id": "",
    "anonymous_id": "",
    "email": "",
    "phone": "",
    "country": "",
    "previous_id": "",
    "time": 2,
    "source": "web",
    "trace_id": "t",
    "body": b"{}",
}


def codec(writers: dict[int, Any] | None = None) -> Codec:
    made = Codec("envelope", {} if writers is None else writers)
    made.own([7])
    return made


def older() -> Any:
    """The schema as a version without a country."""
    schema = json.loads(schema_text("envelope"))
    schema["fields"] = [field for field in schema["fields"] if field["name"] != "country"]
    return parse_schema(schema)


def test_what_is_written_is_framed_and_read_back() -> None:
    data = codec().encode(ENVELOPE)
    assert data[:5] == b"\0\0\0\0\7"
    assert schema_id(data) == 7
    assert codec().decode(data) == ENVELOPE


def test_a_prefix_reads_the_first_fields_only() -> None:
    lead = codec().prefix(upto="accepted_at")
    assert lead(codec().encode(ENVELOPE)) == {"uid": bytes(16), "space": "acme", "accepted_at": 1}


def test_another_version_is_read_as_ours() -> None:
    data = b"\0\0\0\0\6" + compile_writer(older())(ENVELOPE)
    ours = codec({6: older()})
    assert ours.decode(data) == ENVELOPE
    assert ours.prefix(upto="accepted_at")(data)["space"] == "acme"


def test_an_id_that_nobody_asked_for_is_a_mistake_of_ours_and_no_dead_letter() -> None:
    with pytest.raises(Unlearned):
        codec().decode(b"\0\0\0\0\x08")


def test_an_id_that_the_registry_does_not_have_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="no schema of id 8"):
        codec({8: None}).decode(b"\0\0\0\0\x08")


def test_a_record_of_another_schema_is_unreadable() -> None:
    other = parse_schema(json.loads(schema_text("control")))
    writer = Codec("control", {})
    writer.own([9])
    data = writer.encode({"kind": "space", "name": "a", "at": 1})
    with pytest.raises(Unreadable):
        codec({9: other}).decode(data)


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_a_record_or_unreadable(data: bytes, framed: bool) -> None:
    ours = codec()
    lead = ours.prefix(upto="accepted_at")
    for read in (ours.decode, lead):
        with suppress(Unreadable):
            assert isinstance(read(b"\0\0\0\0\7" + data if framed else b"\1" + data), dict)


@given(st.integers(0, 200), st.binary(min_size=1, max_size=4))
def test_cut_off_or_longer_is_unreadable(cut: int, more: bytes) -> None:
    data = codec().encode(ENVELOPE)
    with pytest.raises(Unreadable):
        codec().decode(data[: min(cut, len(data) - 1)])
    with pytest.raises(Unreadable):
        codec().decode(data + more)


def test_writing_before_the_registry_was_asked_is_refused() -> None:
    with pytest.raises(RuntimeError, match="ready"):
        Codec("envelope", {}).encode(ENVELOPE)


def test_a_schema_that_is_not_there_says_how_to_get_it() -> None:
    with pytest.raises(Misconfigured, match="pip install -e"):
        schema_text("nothing")


def test_every_topics_schema_parses_and_origins_are_all_alike() -> None:
    origins = []
    for topic in TOPICS.values():
        if topic.schema:
            fields = copy.deepcopy(Codec(topic.schema, {}).schema["fields"])
            origins += [field["type"]["fields"] for field in fields if field["name"] == "origin"]
    assert len(origins) > 3
    assert all(origin == origins[0] for origin in origins)
