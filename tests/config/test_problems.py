"""Every error of a file at once, each with its place and what to write."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.config import Config, ConfigError, check, loads
from tests.config.test_load import ENVIRON, LEAST

WRONG = """\
kafka: {boostrap: x}
accounts:
  acme:
    klaviyo: {api_key: ${MISSING_KEY}, ur: http://x}
    name: x
    headroom: 3
sources:
  web: {accounts: [acm], write_key: [a, b, c]}
rules:
  - {when: 'type = "identify"', do: profle}
  - {do: event, fields: {a: {path: $.name, formt: date}, b: [$.name, $.x]}, template: ecomerce.v2}
  - when: |
      type = "track"
      and evnt(event)
    do: profile
    metric: x
    fields: {email: $.traits.mail, x: $.a.}
identity: {anonymous: hol}
gateway: {port: abc}
foo: 1
"""


def problems(text: str, **environ: str) -> list[tuple[int, int, str, str]]:
    try:
        loads(text, "f", ENVIRON | environ)
    except ConfigError as error:
        return [(p.line, p.column, p.message.splitlines()[0], p.write) for p in error.problems]
    return []


def test_every_error_is_found_at_once() -> None:
    assert problems(WRONG, STREAMS_KAFKA_BOOTSTAP="x") == [
        (
            0,
            0,
            "environment variable STREAMS_KAFKA_BOOTSTAP is no setting",
            "STREAMS_KAFKA_BOOTSTRAP",
        ),
        (1, 9, "unknown key 'boostrap'", "bootstrap"),
        (4, 24, "environment variable MISSING_KEY is not set", "export MISSING_KEY=…"),
        (4, 40, "unknown key 'ur'", "url"),
        (5, 5, "name is derived, not written", "nothing"),
        (6, 15, "accounts.acme.headroom: Input should be less than 1", "0.0"),
        (8, 20, "there is no account 'acm'", "acme"),
        (8, 37, "sources.web.write_key takes at most 2", ""),
        (10, 37, "rules.0.do: 'profle' is not known", "profile"),
        (11, 5, "rules.1.when is missing", "when: …"),
        (11, 44, "unknown key 'formt'", "format"),
        (
            11,
            61,
            "rules.1.fields.b.path.1: a message has no field 'x'",
            "$.properties.x, or where else it is; $['x'] if your messages have it nevertheless",
        ),
        (11, 87, "'ecomerce.v2' is no template of do: event", "ecommerce.v2"),
        (14, 11, "rules.2.when: there is no function 'evnt'", "length"),
        (16, 5, "do: profile doesn't look at metric", "do: event; or leave it out"),
        (17, 13, "rules.2.fields: email comes from identity, not from a rule", "properties.email"),
        (18, 23, "identity.anonymous: 'hol' is not known", "hold"),
        (
            19,
            17,
            "gateway.port: Input should be a valid integer, unable to parse string as an integer",
            "8080",
        ),
        (
            20,
            1,
            "unknown key 'foo'",
            "one of: " + ", ".join(Config.model_fields),
        ),
    ]


@pytest.mark.parametrize(
    ("text", "line", "message", "write"),
    [
        ("accounts: [", 1, "expected the node content", "valid YAML"),
        ("prefix: a\nprefix: b\n" + LEAST, 2, "found duplicate key", "each key once"),
        ("", 1, "the file has no sections", "accounts: …"),
        ("- 1", 1, "the file has no sections", "accounts: …"),
        ("a: 1", 1, "accounts is missing", "accounts: {NAME:"),
        (LEAST + "prefix: a b", 11, "prefix: String should match", "staging."),
        (LEAST.replace("acme:", "'a b':"), 3, "accounts.a b: String", "acme"),
    ],
)
def test_each_kind_of_error_has_its_line(text: str, line: int, message: str, write: str) -> None:
    found = problems(text)
    assert any(p[0] == line and p[2].startswith(message) and p[3].startswith(write) for p in found), found


def test_a_condition_shows_its_place_with_a_caret() -> None:
    with pytest.raises(ConfigError) as error:
        loads(LEAST.replace("and event =", "and event =="), "f", ENVIRON)
    (problem,) = error.value.problems
    assert (problem.line, problem.column) == (10, 39)
    assert problem.message.splitlines()[1:] == [
        '  type = "track" and event == "Order Completed"',
        "                            ^",
    ]


def test_a_wrong_variable_is_named() -> None:
    found = problems(LEAST, STREAMS_GATEWAY_PORT="abc")
    assert [p[:2] for p in found] == [(0, 0)]
    assert found[0][2].startswith("STREAMS_GATEWAY_PORT: Input should be a valid integer")
    assert found[0][3] == "8080"


def test_a_secret_belongs_to_one() -> None:
    two = LEAST.replace("rules:", "  app: {accounts: [acme], write_key: ${WEB_WRITE_KEY}}\nrules:")
    assert [p[2] for p in problems(two)] == ["sources.app and sources.web have the same write_key"]


def test_rules_have_names_of_their_own() -> None:
    two = LEAST.replace("do:", "name: x, do:")
    assert [p[2] for p in problems(two)] == ["rule 1 is called 'x' too"]


def test_no_message_gives_a_secret_away() -> None:
    text = LEAST.replace("${WEB_WRITE_KEY}", "{a: ${WEB_WRITE_KEY}}") + "registry: {url: '${WEB_WRITE_KEY}'}"
    assert problems(text)
    assert "in_1" not in str(problems(text))


def test_a_check_lists_what_loading_raises(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(LEAST)
    assert check(path, ENVIRON) == []
    assert len(check(path, {})) == 5


@given(st.text() | st.builds(lambda a, b: LEAST[:a] + b + LEAST[a:], st.integers(0, len(LEAST)), st.text()))
def test_no_text_raises_anything_else(text: str) -> None:
    problems(text)


@pytest.mark.parametrize(
    ("section", "column", "said", "write"),
    [
        ("{ovr: slim}", 11, "unknown key 'ovr'", "over"),
        ("{over: splt}", 17, "payload.over: 'splt' is not known", "split"),
        ("{max_bytes: 5000000}", 22, "less than or equal to 1900000", "1900000"),
        ("{slim: [{dropp: $.a}]}", 19, "unknown key 'dropp'", "drop"),
        ("{slim: [{truncate: $.a}]}", 18, "truncate needs to", "to: 1000"),
        ("{slim: [{items: $.a, to: 3, most: 3}]}", 18, "to belongs to truncate", "truncate: …, to: …"),
        ("{slim: [{drop: $.a, items: $.b}]}", 18, "found drop and items", "drop: $."),
        ("{slim: [{drop: a.b}]}", 25, "a path starts with $", "$.a.b"),
    ],
)
def test_a_wrong_payload_section_says_where_and_what_to_write(
    section: str, column: int, said: str, write: str
) -> None:
    found = problems(f"payload: {section}\n{LEAST}")
    assert [(line, at) for line, at, _, _ in found] == [(1, column)], found
    assert said in found[0][2]
    assert write in found[0][3]


def test_a_payload_section_belongs_to_rules_that_make_events_or_profiles() -> None:
    rule = LEAST.replace("do: event", "do: event, payload: {slm: []}")
    assert rule != LEAST
    assert [(said, write) for _, _, said, write in problems(rule)] == [("unknown key 'slm'", "slim")]


@pytest.mark.parametrize(
    ("variable", "write"),
    [
        ("STREAMS_KAFKA_BOOSTRAP", "STREAMS_KAFKA_BOOTSTRAP"),
        ("STREAMS_PREFX", "STREAMS_PREFIX"),
        ("STREAMS_KAFKABOOTSTRAP", "STREAMS_KAFKA_BOOTSTRAP"),
        ("STREAMS_ACCOUNTS_ACM_KLAVIYO_URL", "STREAMS_ACCOUNTS_ACME_KLAVIYO_URL"),
        ("STREAMS_X", "nothing: unset it (`streams config show` has all settings)"),
    ],
)
def test_a_variable_that_sets_nothing_is_an_error_with_what_was_meant(variable: str, write: str) -> None:
    assert problems(LEAST, **{variable: "x"}) == [
        (0, 0, f"environment variable {variable} is no setting", write)
    ]
