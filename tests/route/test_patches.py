"""One attribute is replaced, another appended to: what a rule patches is not replaced by the same trait."""

from typing import Any

import pytest

from tests.deliver.line import FREE, Line, operation, simulator
from tests.route.sample import payloads, route, router


def made(patch: str, traits: dict[str, Any], more: str = "") -> dict[str, Any]:
    rule = f"  - {{when: 'type = \"identify\"', do: profile, {more}patch: {{{patch}}}}}"
    (payload,) = payloads(route(router(rule), {"type": "identify", "traits": traits}))
    return payload


@pytest.mark.parametrize("how", ["append", "unappend", "set_once"])
def test_what_is_patched_is_not_replaced_as_well(how: str) -> None:
    payload = made(f"{how}: {{tags: $.traits.tags}}", {"tags": "x", "plan": "a"})
    assert payload == {"attributes": {"properties": {"plan": "a"}}, "patch": {how: {"tags": "x"}}}


def test_null_clears_what_is_appended_to_but_not_what_is_set_once() -> None:
    assert made("append: {tags: $.traits.tags}", {"tags": None}) == {
        "attributes": {"properties": {"tags": None}}
    }
    assert made("set_once: {first: $.traits.first}", {"first": None}) == {"attributes": {}}


def test_a_field_of_the_rule_and_a_renamed_property_are_as_the_rule_says() -> None:
    traits = {"tags": "x", "plan": "a"}
    both = made("append: {tags: $.traits.tags}", traits, "fields: {tags: $.traits.plan}, ")
    assert both["attributes"]["properties"]["tags"] == "a"
    renamed = made("append: {Tags: $.traits.tags}", {"tags": "x"}, "rename: {tags: Tags}, ")
    assert renamed == {"attributes": {}, "patch": {"append": {"Tags": "x"}}}


async def test_by_such_a_rule_values_add_up_and_the_first_stays_at_klaviyo() -> None:
    patch = "append: {tags: $.traits.tags}, set_once: {source: $.traits.source}, unset: [draft]"
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url)
        traits = [{"tags": f"t{n}", "source": f"s{n}", "plan": f"p{n}", "draft": n} for n in range(3)]
        for n, each in enumerate(traits):
            line.put(operation(n, 1, "profile", payload=made(patch, each)))
            await line.drain()
        (profile,) = (await sim.get("profiles"))["data"]
        assert profile["properties"] == {"tags": ["t0", "t1", "t2"], "source": "s0", "plan": "p2"}
