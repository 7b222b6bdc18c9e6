"""What YAML, shells and habits put into a file that nobody meant."""

import pytest

from streams.config import ConfigError, loads
from tests.config.test_load import ENVIRON, LEAST
from tests.config.test_problems import problems

RULE = "accounts: {acme: {klaviyo: {api_key: k}}}\nsources: {web: {accounts: [acme]}}\nrules:\n  - "


@pytest.mark.parametrize(
    ("rule", "column", "message", "write"),
    [
        ('{when: !type = "track", do: event}', 12, "!type is no tag that is known", "quotes around it"),
        ('{when: event in ["a"], do: event}', 21, "expected ',' or '}'", "quotes around a text in {…}"),
        ('{when: type = "track", do: event, metric: 5}', 47, "rules.0.metric: a text is needed", '"5"'),
        ('{when: type = "track", do: event, metric: ""}', 47, "rules.0.metric: a text is needed", '"…"'),
        ('{when: type = "track", do: list_add, list: true}', 48, "rules.0.list: a text is needed", '"…"'),
        ('{when: type = "track", do: event, accounts: []}', 49, "rules.0.accounts takes at least 1", ""),
        ('{when: type = "track", do: event, once: Ever}', 45, "rules.0.once.0: 'Ever' is neither", "ever"),
        (
            '{when: type = "track", do: event, once: id}',
            45,
            "rules.0.once.0: 'id' is",
            "ever, or $.properties.id",
        ),
        (
            '{when: type = "track", do: event, once: $.id}',
            45,
            "rules.0.once.0: a message has no",
            "$.properties.id",
        ),
        (
            '{when: type = "track", do: event, key: $.propertis.id}',
            44,
            "rules.0.key.path.0: a",
            "$.properties;",
        ),
        (
            '{when: type = "track", do: event, fields: {a: {}}}',
            51,
            "rules.0.fields.a: neither a path",
            "path: ",
        ),
        (
            '{when: type = "track", do: event, fields: {a: [$.name, b]}}',
            51,
            "rules.0.fields.a: paths and constants in one list",
            "{path: ",
        ),
        (
            '{when: type = "track", do: event, fields: {a: {constant: "5", format: number}}}',
            51,
            "rules.0.fields.a: a constant has no format",
            "the constant as",
        ),
        (
            '{when: type = "track", do: event, fields: {a: {path: $.name, country: $.name}}}',
            51,
            "rules.0.fields.a: country belongs to format: phone",
            "format: phone",
        ),
        (
            '{when: type = "track", do: subscribe, consented_at: yesterday}',
            57,
            "rules.0.consented_at: 'yesterday' is no date",
            "2026-01-31",
        ),
        (
            '{when: type = "track", do: event, flatten: maybe}',
            48,
            "rules.0.flatten takes true or false",
            "false",
        ),
        ('{when: type = "track", do: event, fields: [a]}', 47, "rules.0.fields takes keys", "{"),
        (
            '{when: type = "track", do: profile, fields: {location.cty: $.traits.town}}',
            50,
            "Klaviyo's profiles have no location.cty",
            "location.city",
        ),
        (
            '{when: type = "track", do: event, fields: {value_currency: EURO, value: 1.5}}',
            64,
            "'EURO' is no currency",
            "EUR",
        ),
        ('{when: type = "track", do: event, fields: {value: 12 EUR}}', 55, "'12 EUR' is no number", "12.5"),
        ("a text", 5, "rules.0 takes keys with values", "{when: …, do: …"),
    ],
)
def test_a_rule_that_would_do_nothing_or_something_else_is_told(
    rule: str, column: int, message: str, write: str
) -> None:
    with pytest.raises(ConfigError) as error:
        loads(RULE + rule, "f", {})
    (problem, *_) = error.value.problems
    assert (problem.line, problem.column) == (4, column)
    assert problem.message.startswith(message)
    assert problem.write.startswith(write)


def test_a_field_that_messages_don_t_usually_have_is_named_in_brackets() -> None:
    config = loads(RULE + "{when: '\\custom = 1', do: event, once: \"$['custom']\"}", "f", {})
    assert config.rules[0].once == ("$['custom']",)


def test_a_key_that_stands_twice_shows_no_value() -> None:
    text = "accounts: {acme: {klaviyo: {api_key: pk_one, api_key: pk_two}}}"
    assert problems(text) == [(1, 46, 'found duplicate key "api_key"', "each key once")]


def test_a_brace_that_is_not_closed_is_told_by_where_it_is_opened() -> None:
    text = "rules:\n  - {when: a, do: event\n  - {when: b, do: event}\n"
    ((line, _, said, _),) = problems(text)
    assert line > 2
    assert said.endswith(", in what begins on line 2")


def test_brackets_without_end_are_a_problem_of_the_file() -> None:
    assert problems("a: " + "[" * 20_000) == [
        (1, 1, "nested too deep to be read", "fewer brackets in brackets")
    ]


@pytest.mark.parametrize("value", ["in_1\n", " in_1", "in_1\t", "in\r\n_1"])
def test_a_secret_with_what_the_shell_left_on_it_is_told_and_not_shown(value: str) -> None:
    (found,) = problems(LEAST, WEB_WRITE_KEY=value)
    assert found[2].startswith("sources.web.write_key.0: has a")
    assert "in_1" not in str(found)


def test_a_key_without_a_value_has_its_own_line() -> None:
    assert problems("accounts:\nsources:\nrules:\n")[0][:3] == (1, 1, "accounts takes keys with values")


def test_a_variable_may_hold_several_names() -> None:
    environ = ENVIRON | {"STREAMS_IDENTITY_BLOCKED": "a@b.com, test", "STREAMS_ENGAGEMENT_FORWARD": "x"}
    config = loads(LEAST, "f", environ)
    assert config.identity.blocked == ("a@b.com", "test")
    assert config.engagement.forward == ("x",)


@pytest.mark.parametrize(
    "name", ["PAYLOAD_SLIM", "PAYLOAD_SLIM_TO", "CONTRACTS_EVENTS_ENFORCE", "ENGAGEMENT_PROPERTIES"]
)
def test_what_no_variable_can_hold_is_no_setting(name: str) -> None:
    (found,) = problems(LEAST, **{f"STREAMS_{name}": "1"})
    assert found[2] == f"environment variable STREAMS_{name} is no setting"


def test_a_broker_s_address_is_not_empty() -> None:
    assert problems(LEAST, STREAMS_KAFKA_BOOTSTRAP="")[0][3] == "localhost:9092"
