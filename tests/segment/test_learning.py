"""Contracts learned from traffic."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streams.segment.contracts import Contracts
from streams.segment.learning import ENOUGH, Learner
from tests.config.test_fql import JSON


def learned(*properties: Any, event: str = "Signed Up") -> dict[str, Any]:
    learner = Learner()
    for number, each in enumerate(properties):
        learner.see({"type": "track", "event": event, "userId": f"u{number}", "properties": each})
    return next(schema for _, schema in learner.contracts())


def fields(*properties: Any) -> dict[str, Any]:
    return {field["name"]: field for field in learned(*properties)["fields"]}


def test_what_every_one_of_enough_messages_had_must_be_there() -> None:
    found = fields(*[{"plan": "free", "seats": n} for n in range(ENOUGH - 1)], {"plan": "pro"})
    assert (found["plan"]["type"], "default" in found["plan"]) == ("string", False)
    assert (found["seats"]["type"], found["seats"]["default"]) == (["null", "double"], None)


def test_a_few_messages_make_nothing_required() -> None:
    assert fields({"plan": "free"})["plan"] == {"name": "plan", "type": ["null", "string"], "default": None}


def test_an_example_of_a_text_is_one_that_two_people_had() -> None:
    """What only one has may be personal; so may be an address."""
    same = {"plan": "free", "email": "a@shop.io"}
    found = fields(same | {"note": "call me"}, same, same)
    assert found["plan"]["example"] == "free"
    assert "example" not in found["note"]
    assert "example" not in found["email"]


def test_names_that_avro_does_not_take_stand_under_property() -> None:
    found = learned({"unit price": 1, "unit-price": 2}, event="2nd Order!")
    assert [(f["name"], f["property"]) for f in found["fields"]] == [
        ("_unit_price", "unit price"),
        ("_unit_price_", "unit-price"),
    ]
    assert (found["name"], found["event"]) == ("_2ndOrder", "2nd Order!")


def test_numbers_are_double_however_whole_and_mixtures_are_told() -> None:
    found = fields({"a": 1, "b": 1}, {"a": 1.5, "b": "1"})
    assert (found["a"]["type"], found["b"]["type"]) == (["null", "double"], ["null", "double", "string"])


def test_lists_of_objects_are_lists_of_records() -> None:
    (products,) = learned({"products": [{"sku": "s"}, {"sku": "t", "qty": 1}]})["fields"]
    assert products["type"][1]["type"] == "array"
    assert [field["name"] for field in products["type"][1]["items"]["fields"]] == ["sku", "qty"]


@given(st.lists(st.dictionaries(st.text(max_size=3), JSON, max_size=4), min_size=1, max_size=4))
def test_what_was_learned_from_keeps_the_contract(properties: list[Any]) -> None:
    contracts = Contracts([learned(*properties)])
    for each in properties:
        assert contracts.violations({"event": "Signed Up", "properties": each}) == []
