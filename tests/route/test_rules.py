"""Which rules apply, for which accounts, under which ids."""

from textwrap import dedent, indent
from typing import Any

import pytest

from streams.segment.envelope import Profile
from tests.route.sample import EVERYTHING, ORIGIN, PETER, TWO, envelope, payloads, route, router

ORDER = {
    "type": "track",
    "event": "Order Completed",
    "timestamp": "2026-01-01T00:00:00.181Z",
    "properties": {"order_id": "o1", "total": "27.50", "a": {"b": {"c": 1}}, "tags": ["x"]},
    "context": {
        "page": {"url": "https://shop.example.com"},
        "traits": {"country": "NL", "tel": "020 624 1111"},
    },
}
TRACK = '- {when: type = "track", do: event'


def one(rule: str, message: dict[str, Any] = ORDER) -> dict[str, Any]:
    item = indent(dedent(rule).strip(), "    ")
    return payloads(route(router("  - " + item[4:]), message))[0]


def test_an_operation_has_all_that_delivery_needs() -> None:
    routed = route(router(f"{TRACK}}}"), ORDER, late=True)
    ((topic, account, operation),) = routed.operations
    assert (topic, account, operation["account"]) == ("klaviyo.events", "acme", "acme")
    assert operation["profile"] == PETER
    assert (operation["kind"], operation["event_id"]) == ("event", "m1")
    assert (operation["time"], operation["backfill"]) == (1_767_225_600_000, True)
    assert routed.matched == ["rule 1"]
    assert routed.filtered is None


def test_an_event_carries_no_traits() -> None:
    assert payloads(route(router(f"{TRACK}}}"), ORDER))[0].keys() == {"metric", "properties", "value"}


def test_without_a_rule_a_message_is_filtered() -> None:
    assert route(router(f"{TRACK}}}"), {"type": "page"}).filtered == "no_rule"
    assert route(router(f"{TRACK}}}"), ORDER, space="other").filtered == "no_rule"


@pytest.mark.parametrize(
    ("integrations", "filtered"),
    [
        ({"All": False}, "integrations:All"),
        ({"Klaviyo": False}, "integrations:Klaviyo"),
        ({"All": True, "Klaviyo": False}, "integrations:Klaviyo"),
        ({"Klaviyo (Actions)": False}, "integrations:Klaviyo (Actions)"),
        ({"All": False, "Klaviyo": True}, None),
        ({"All": False, "Klaviyo": {"listId": "X"}}, None),
        ({"Klaviyo": {}}, None),
        ({"All": True}, None),
        ({"Mixpanel": False}, None),
        (None, None),
        ("All", None),
    ],
)
def test_the_senders_integrations_are_honoured(integrations: Any, filtered: str | None) -> None:
    assert route(router(f"{TRACK}}}"), {**ORDER, "integrations": integrations}).filtered == filtered


@pytest.mark.parametrize("context", [{"klaviyo": {"event_id": "e"}}, {"integration": {"name": "Klaviyo"}}])
def test_what_came_from_klaviyo_does_not_go_back(context: Any) -> None:
    assert route(router(f"{TRACK}}}"), {**ORDER, "context": context}).filtered == "loop"


def test_the_envelopes_type_counts_where_the_body_has_none() -> None:
    message = {"event": "A", "properties": {}}
    assert payloads(route(router(f"{TRACK}}}"), message)) == [{"metric": "A", "properties": {}}]


def test_accounts_of_a_space_are_deliveries_of_one_message() -> None:
    rules = router(f"{TRACK}}}\n{TRACK}, name: only de, accounts: de, metric: Extra}}", TWO)
    routed = route(rules, ORDER, space="shop")
    assert [(a, p["metric"]) for (_, a, _), p in zip(routed.operations, payloads(routed), strict=True)] == [
        ("nl", "Placed Order"),
        ("de", "Placed Order"),
        ("de", "Extra"),
    ]
    assert len({operation["op_id"] for _, _, operation in routed.operations}) == 3


def test_of_two_rules_with_one_op_id_the_first_wins() -> None:
    rules = router(f"{TRACK}, name: first}}\n{TRACK}, name: second, fields: {{x: 1}}}}")
    routed = route(rules, ORDER)
    assert len(routed.operations) == 1
    assert "x" not in payloads(routed)[0]["properties"]
    assert routed.matched == ["first", "second"]
    assert routed.same_as == [("acme", "same_as:first")]


def test_a_key_makes_it_another_operation() -> None:
    rules = router(f"{TRACK}}}\n{TRACK}, key: $.properties.order_id}}\n{TRACK}, key: again}}")
    routed = route(rules, ORDER)
    assert len({operation["op_id"] for _, _, operation in routed.operations}) == 3
    missing = route(rules, {**ORDER, "properties": {}})
    assert missing.refusals == [
        ("acme", "mapping", "rule 2: no key: nothing found where the rule looks for it")
    ]
    assert len(missing.operations) == 2


def test_op_ids_do_not_depend_on_rules_or_people() -> None:
    first = route(router(f"{TRACK}}}"), ORDER).operations
    others = router(f'- {{when: type = "page", do: event}}\n{TRACK}, name: x, drop: tags}}')
    other = route(others, ORDER).operations
    assert first[0][2]["op_id"] == other[0][2]["op_id"]


def test_fields_go_over_the_templates() -> None:
    rule = """
      when: type = "track"
      do: event
      metric: [$.properties.metric, $.event]
      fields:
        value: {path: $.properties.total, format: number}
        value_currency: eur
        shop: [$.properties.shop, $.context.page.url]
        properties.at: {path: $.timestamp, format: date}
        phone: {path: $.context.traits.tel, format: phone, country: $.context.traits.country}
        none: $.properties.nope
        fallback: {path: $.properties.nope, constant: x}
        OrderId: null
      rename: {tags: labels}
      drop: [total]
      flatten: true
    """
    assert one(rule) == {
        "metric": "Order Completed",
        "value": 27.5,
        "value_currency": "EUR",
        "properties": {
            "a.b.c": 1,
            "labels": ["x"],
            "shop": "https://shop.example.com",
            "at": "2026-01-01T00:00:00Z",
            "phone": "+31206241111",
            "fallback": "x",
        },
    }


def test_a_field_that_does_not_fit_is_counted() -> None:
    routed = route(
        router(f"{TRACK}, fields: {{value: $.event, x: {{path: $.event, format: date}}}}}}"), ORDER
    )
    assert routed.unmapped == ["value", "$.event"]
    assert "x" not in payloads(routed)[0]["properties"]


def test_template_none_takes_only_what_the_rule_says() -> None:
    assert one(f"{TRACK[2:]}, template: none, fields: {{a: $.properties.a}}}}") == {
        "metric": "Order Completed",
        "properties": {"a": {"b": {"c": 1}}},
    }


def test_product_events_have_the_name_the_rule_gives_or_are_left_out() -> None:
    message = {**ORDER, "properties": {"products": [{"sku": "s"}]}}
    assert one(f"{TRACK[2:]}, product_metric: Item}}", message)["metric"] == "Placed Order"
    names = [p["metric"] for p in payloads(route(router(f"{TRACK}, product_metric: Item}}"), message))]
    assert names == ["Placed Order", "Item"]
    assert len(payloads(route(router(f"{TRACK}, product_metric: null}}"), message))) == 1


def test_profile_fields_and_patches() -> None:
    rule = """
      when: type = "identify"
      do: profile
      fields:
        title: $.traits.rank
        location.city: {path: $.traits.town, constant: Utrecht}
        organization: null
        tier: gold
        image: {path: $.traits.nope}
        last_name: $.traits.object
      rename: {plan: Plan}
      drop: rank
      patch:
        append: {Sizes: $.traits.size, none: $.traits.nope}
        unappend: {Sizes: old}
        unset: trial
        set_once: {first_plan: $.traits.plan}
    """
    traits = {"rank": "VP", "company": "Initech", "plan": "p", "size": "M", "object": {"a": 1}, "title": "x"}
    message = {"type": "identify", "traits": traits}
    assert one(rule, message) == {
        "attributes": {
            "title": "VP",
            "location": {"city": "Utrecht"},
            "properties": {"size": "M", "object": {"a": 1}, "tier": "gold", "Plan": "p"},
        },
        "patch": {
            "append": {"Sizes": "M"},
            "unappend": {"Sizes": "old"},
            "set_once": {"first_plan": "p"},
            "unset": ["trial"],
        },
    }


def test_two_names_may_be_exchanged() -> None:
    message = {**ORDER, "properties": {"a": 1, "b": 2, "c": 3}}
    rule = f"{TRACK[2:]}, template: track, rename: {{a: b, b: a, c: d}}}}"
    assert one(rule, message)["properties"] == {"b": 1, "a": 2, "d": 3}


@pytest.mark.parametrize(
    ("type_", "name", "wanted"),
    [
        ("track", "Order Completed", True),
        ("track", "Other", False),
        ("identify", None, True),
        ("page", "Home", False),
    ],
)
def test_wanted_is_what_some_rule_can_match(type_: str, name: str | None, wanted: bool) -> None:
    rules = router(
        "- {when: type = 'identify' and traits.email != null, do: profile}\n"
        "- {when: \"type = 'track' and match(event, 'Order *')\", do: event}"
    )
    assert rules.wanted(type_, name) is wanted


def test_more_names_than_are_remembered_route_the_same() -> None:
    rules = router(f"{TRACK}}}")
    for index in range(5000):
        assert route(rules, {"type": "track", "event": f"e{index}"}).filtered is None


def test_attributes_of_who_has_an_anonymous_id_alone_go_nowhere_and_their_events_do() -> None:
    """Klaviyo takes attributes by user id, email or phone only."""
    nobody: Profile = {**PETER, "email": None, "phone": None, "user_id": None}
    rules = router('  - {when: type = "identify", do: profile}\n  - {when: type = "track", do: event}')
    identify = {"type": "identify", "traits": {"plan": "pro"}}
    routed = rules.route(identify, envelope(identify), nobody, ORIGIN, late=False)
    assert (routed.operations, routed.filtered, routed.matched) == ([], "anonymous", ["rule 1"])
    track = {"type": "track", "event": "Played"}
    assert len(rules.route(track, envelope(track), nobody, ORIGIN, late=False).operations) == 1


@pytest.mark.parametrize(
    ("timestamp", "unmapped"),
    [("2026-13-45T25:00:00Z", ["timestamp"]), ("soon", ["timestamp"]), ([], ["timestamp"]), (None, []),
     ("2026-01-01T00:00:00.123456789+01:00", [])],
)  # fmt: skip
def test_a_time_that_is_none_is_told(timestamp: Any, unmapped: list[str]) -> None:
    message = {"type": "track", "event": "A", "timestamp": timestamp}
    accepted = {**envelope(message), "time": 1}
    routed = EVERYTHING.route(message, accepted, PETER, ORIGIN, False)  # type: ignore[arg-type]
    assert routed.unmapped == unmapped
    assert routed.operations
