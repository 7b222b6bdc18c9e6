"""What is written straight is, octet for octet, what fastavro writes."""

import json
from io import BytesIO
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from hypothesis import given
from hypothesis import strategies as st

from streams.engine.codec import FOLDER, schema_text
from streams.engine.encoding import compile_writer

LONGS = st.integers(-(2**63), 2**63 - 1)
PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(st.characters(exclude_categories=["Cs"]), max_size=70),
    "bytes": st.one_of(st.binary(max_size=200), st.integers(4_000, 9_000).map(bytes)),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.one_of(st.integers(-200, 200), LONGS),
    "boolean": st.booleans(),
}


def values(schema: Any, named: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Values that fit a parsed schema; of fields with a default some are left out."""
    if isinstance(schema, str):
        return PLAIN[schema] if schema in PLAIN else named[schema]
    if isinstance(schema, list):
        return st.one_of(st.none(), values(schema[1], named))
    if schema["type"] == "fixed":
        return st.binary(min_size=schema["size"], max_size=schema["size"])
    if schema["type"] == "array":
        return st.lists(values(schema["items"], named), max_size=3)
    fields: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    for field in schema["fields"]:
        fields["default" in field][field["name"]] = values(field["type"], named)
    made = named[schema["name"]] = st.fixed_dictionaries(fields[0], optional=fields[1])
    return made


def by_fastavro(schema: Any, value: Any) -> bytes:
    out = BytesIO()
    schemaless_writer(out, schema, value)
    return out.getvalue()


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.avsc")))
@given(data=st.data())
def test_every_record_is_written_as_fastavro_writes_and_reads_it(name: str, data: st.DataObject) -> None:
    schema: Any = parse_schema(json.loads(schema_text(name)))
    value = data.draw(values(schema, {}))

    written = compile_writer(schema)(value)

    assert written == by_fastavro(schema, value)
    source = BytesIO(written)
    read: Any = schemaless_reader(source, schema, None)
    assert source.tell() == len(written)
    assert compile_writer(schema)(read) == written


ODD: Any = parse_schema(
    {
        "type": "record",
        "name": "Odd",
        "fields": [
            {"name": "text", "type": "string"},
            {"name": "count", "type": "long"},
            {"name": "id", "type": {"type": "fixed", "name": "Id", "size": 2}},
        ],
    }
)
GOOD = {"text": "t", "count": 1, "id": b"ab"}


@pytest.mark.parametrize(
    "wrong",
    [
        *({"text": each} for each in (None, b"t", 1, "\ud800")),
        *({"count": each} for each in (2**63, -(2**63) - 1, "1", None)),
        *({"id": each} for each in (b"abc", "ab", None)),
    ],
)
def test_a_value_that_does_not_fit_is_never_written(wrong: dict[str, Any]) -> None:
    write = compile_writer(ODD)
    assert write(GOOD) == by_fastavro(ODD, GOOD)

    with pytest.raises((TypeError, ValueError, AttributeError, OverflowError)):
        write(GOOD | wrong)


def test_a_field_that_is_missing_and_has_no_default_is_never_written() -> None:
    with pytest.raises((TypeError, AttributeError)):
        compile_writer(ODD)({})


@pytest.mark.parametrize("kind", ["double", ["null", "string", "long"], {"type": "map", "values": "string"}])
def test_a_type_that_no_schema_here_has_is_refused_before_anything_is_written(kind: Any) -> None:
    schema: Any = parse_schema({"type": "record", "name": "R", "fields": [{"name": "f", "type": kind}]})

    with pytest.raises(TypeError, match="no type"):
        compile_writer(schema)
