"""Contracts: what an event's properties must be."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.segment.contracts import MOST_SHOWN, ContractError, Contracts, Violation, _compile
from streams.segment.fitting import compile_fits
from tests.config.test_fql import JSON

FOLDER = Path(__file__).parents[2] / "avro" / "contracts"
SCHEMAS = [orjson.loads(path.read_bytes()) for path in sorted(FOLDER.glob("*.avsc"))]
TEXT = {"name": "x", "type": "text"}
CONTRACTS = Contracts(SCHEMAS)


def said(contracts: Contracts, message: dict[str, Any]) -> list[str]:
    return list(map(str, contracts.violations(message)))


def violations(**properties: Any) -> list[str]:
    return said(CONTRACTS, {"type": "track", "event": "Order Completed", "properties": properties})


def test_a_good_order_keeps_its_contract() -> None:
    assert violations(order_id="o", total=27, extra={"a": 1}, products=[{"sku": "s", "price": 9.5}]) == []


def test_everything_wrong_is_told_at_once() -> None:
    assert violations(total="27", currency=5, products=[{"sku": 1, "quantity": 1.5}, "x"]) == [
        "properties.order_id must be string, this is missing",
        "properties.total must be null or double, this is text '27'",
        "properties.currency must be null or string, this is a number '5'",
        "properties.products[0].sku must be null or string, this is a number '1'",
        "properties.products[0].quantity must be null or long, this is a number '1.5'",
        "properties.products[1] must be an object, this is text 'x'",
    ]


def test_no_message_is_told_more_than_the_most() -> None:
    assert len(violations(order_id="o", products=[1] * 1000)) == MOST_SHOWN


def test_other_messages_have_no_contract() -> None:
    assert CONTRACTS.violations({"type": "track", "event": "Other"}) == []
    assert CONTRACTS.violations({"type": "page", "event": "Order Completed"}) == []


def test_enums_maps_and_unions_of_records() -> None:
    record = {"type": "record", "name": "R", "fields": [{"name": "a", "type": "boolean"}]}
    fields = [
        {"name": "size", "type": {"type": "enum", "name": "Size", "symbols": ["S", "M"]}},
        {"name": "tags", "type": {"type": "map", "values": "int"}},
        {"name": "it", "type": ["null", record]},
    ]
    contracts = Contracts([{"type": "record", "name": "A", "event": "A", "fields": fields}])
    message = {"event": "A", "properties": {"size": "L", "tags": {"x": 2**40}, "it": {"a": 1}}}
    assert said(contracts, message) == [
        "properties.size must be one of S, M, this is text 'L'",
        "properties.tags.x must be int, this is a number '1099511627776'",
        "properties.it.a must be boolean, this is a number '1'",
    ]


@pytest.mark.parametrize(
    ("schemas", "said"),
    [
        ([{"type": "record", "name": "A", "fields": []}], 'A: write "event"'),
        ([{"type": "record", "event": "A", "fields": []}] * 2, "A: there are two contracts"),
        (
            [{"type": "record", "event": "A", "fields": [{"name": "x", "type": "text"}]}],
            "A.x: contracts know",
        ),
        ([{"type": "record", "event": "A"}], "A: a record needs fields"),
        ([{"event": "A"}], "A: "),
    ],
)
def test_a_schema_that_is_no_contract_says_why(schemas: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(ContractError, match=said):
        Contracts(schemas)


@given(JSON)
def test_no_message_raises(properties: Any) -> None:
    CONTRACTS.violations({"type": "track", "event": "Order Completed", "properties": properties})


FIELDS = [
    {"name": "a", "type": ["null", "string"], "default": None},
    {"name": "b", "type": "int"},
    {"name": "c", "type": ["double", {"type": "array", "items": "long"}], "default": 0},
    {"name": "d", "type": {"type": "enum", "name": "E", "symbols": ["", "0"]}, "default": ""},
    {"name": "e", "type": {"type": "map", "values": ["boolean", "null"]}, "default": {}},
    {"name": "f", "property": "my-f", "type": {"type": "string"}, "default": ""},
]
MIXED = {"type": "record", "name": "M", "event": "M", "fields": FIELDS}


@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "c", "d", "e", "my-f"]), JSON | st.sampled_from([2**31, 0, ""])
    )
)
def test_the_fast_answer_is_the_long_one(properties: Any) -> None:
    """What fits has no violations, what does not has one."""
    told: list[Violation] = []
    _compile(MIXED, "M")(properties, "properties", told)
    assert compile_fits(MIXED)(properties) == (not told)
