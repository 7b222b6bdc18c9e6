"""``streams dry-run`` as its callers see it."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from streams.cli import app

CONFIG = """
accounts:
  acme:
    klaviyo: {api_key: "${ACME_KLAVIYO_KEY}"}
sources: {web: {accounts: [acme], write_key: "${WEB_WRITE_KEY}"}}
rules:
  - {when: type = "identify", do: profile}
  - {when: event = "Order Completed", do: event, product_metric: null}
  - {when: event = "Audience Entered", do: list_add}
  - {when: event = "User Subscribed", do: subscribe, channels: [email, sms]}
"""
NOW = "2026-01-01T00:00:00Z"
ORDER = {
    "type": "track", "event": "Order Completed", "messageId": "m1", "anonymousId": "a1",
    "properties": {"total": 3},
}  # fmt: skip
IDENTIFY = {
    "type": "identify", "messageId": "m2", "anonymousId": "a1", "userId": "u1", "traits": {"email": "a@b.nl"},
}  # fmt: skip


def track(event: str, **more: Any) -> dict[str, Any]:
    return {"type": "track", "event": event, "userId": "u1", "messageId": event} | more


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "pipeline.yaml"
    path.write_text(CONFIG)
    return path


def call(file: Path, lines: list[Any], *words: str) -> tuple[Result, list[dict[str, Any]]]:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    command = ["dry-run", "-", "--config", str(file), "--now", NOW, *words]
    result = CliRunner().invoke(app, command, input=text, env={"ACME_KLAVIYO_KEY": "pk_hidden"})
    return result, [json.loads(line) for line in result.stdout.splitlines()]


def test_each_line_has_its_answer_in_the_order_of_the_file(file: Path) -> None:
    """What waits for a person shows what it becomes; what can't be read is a line all the same."""
    result, answers = call(file, [ORDER, "{broken", IDENTIFY, IDENTIFY, track("Other"), {"type": "track"}])

    assert result.exit_code == 0
    assert [(a["line"], a["event_id"], a["outcome"]) for a in answers] == [
        (1, "m1", "routed"),
        (2, "", "dead_lettered"),
        (3, "m2", "routed"),
        (4, "m2", "duplicate"),
        (5, "Other", "filtered"),
        (6, "", "dead_lettered"),
    ]
    assert answers[0]["profile"]["email"] == "a@b.nl"
    assert answers[1]["reason"].startswith("invalid_json:")
    assert list(answers[0]) == [
        "line", "event_id", "outcome", "reason", "matched_rules", "profile", "requests", "unmapped",
        "not_sent",
    ]  # fmt: skip


def test_secrets_are_masked_and_need_not_be_there(file: Path) -> None:
    """The variable of the write key is not set at all."""
    result, answers = call(file, [IDENTIFY])

    assert "pk_hidden" not in result.stdout
    assert answers[0]["requests"][0]["headers"]["Authorization"] == "Klaviyo-API-Key **********"


def test_a_list_operation_names_the_klaviyo_id_that_is_not_known_yet(file: Path) -> None:
    _, answers = call(file, [IDENTIFY, track("Audience Entered", properties={"list_id": "XYZABC"})])

    (request,) = answers[1]["requests"]
    assert (request["method"], request["path"]) == ("POST", "/api/lists/XYZABC/relationships/profiles")
    assert request["body"] == {
        "data": [{"type": "profile", "id": f"$klaviyo_id:{answers[1]['profile']['id']}"}]
    }


def test_consent_goes_as_history_when_it_is_old(file: Path) -> None:
    old = track("User Subscribed", timestamp="2025-12-31T23:00:00Z")
    new = track("User Subscribed", messageId="new", timestamp=NOW)
    _, answers = call(file, [IDENTIFY, old, new])

    attributes = [answer["requests"][0]["body"]["data"]["attributes"] for answer in answers[1:]]
    assert [a.get("historical_import") for a in attributes] == [True, None]
    assert answers[1]["unmapped"] == ["channels.sms"]


@pytest.mark.parametrize(
    ("lines", "code"), [([IDENTIFY], 0), (["{"], 1), ([IDENTIFY, track("User Subscribed")], 1)]
)
def test_strict_answers_no_to_dead_letters_and_what_is_unmapped(
    file: Path, lines: list[Any], code: int
) -> None:
    assert call(file, lines, "--strict")[0].exit_code == code
    assert call(file, lines)[0].exit_code == 0


def test_against_tells_what_another_configuration_changes(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    rules = CONFIG.replace('- {when: type = "identify", do: profile}\n  ', "")
    other.write_text(rules.replace("product_metric: null", "product_metric: null, fields: {Store: x}"))

    _, (order, identify, last) = call(file, [ORDER, IDENTIFY], "--against", str(other))

    assert [
        (d["path"].rpartition("].")[2], d.get("before"), d.get("after")) for d in order["differences"]
    ] == [("body.data.attributes.properties.Store", "x", None)]
    assert [d["path"].partition("[")[0] for d in identify["differences"]] == [
        "outcome", "reason", "matched_rules", "requests",
    ]  # fmt: skip
    assert last["summary"] == {
        "lines": 2,
        "same": 0,
        "different": 2,
        "outcomes": {"filtered -> routed": 1},
        "requests": {"added": {"acme/profiles": 1}, "removed": {}, "changed": {"acme/events": 1}},
    }


def test_what_a_rule_makes_only_once_is_not_made_again(file: Path) -> None:
    file.write_text(CONFIG.replace("product_metric: null", "once: $.properties.order_id"))
    order = track("Order Completed", properties={"order_id": "o1", "products": [{"sku": "s"}]})
    again = order | {"messageId": "from the server"}

    _, (first, second) = call(file, [order, again])

    assert (first["outcome"], len(first["requests"])) == ("routed", 2)
    assert (second["outcome"], second["reason"], second["requests"]) == ("unchanged", "once", [])
    assert (
        second["not_sent"]
        == [{"account": "acme", "kind": "event", "outcome": "unchanged", "reason": "once"}] * 2
    )


def test_people_who_turn_out_to_be_one_are_merged_at_klaviyo(file: Path) -> None:
    lines = [
        {"type": "identify", "messageId": "1", "userId": "u1", "traits": {"plan": "pro"}},
        {"type": "identify", "messageId": "2", "traits": {"email": "a@b.nl"}},
        {"type": "identify", "messageId": "3", "userId": "u1", "traits": {"email": "a@b.nl"}},
    ]
    _, (first, second, third) = call(file, lines)

    assert [request["lane"] for request in third["requests"]] == ["profiles", "admin"]
    merge = third["requests"][1]
    assert (merge["method"], merge["path"]) == ("POST", "/api/profile-merge")
    assert merge["body"]["data"]["id"] == f"$klaviyo_id:{first['profile']['id']}"
    (loser,) = merge["body"]["data"]["relationships"]["profiles"]["data"]
    assert loser["id"] == f"$klaviyo_id:{second['profile']['id']}"


def test_what_a_rule_asks_for_in_vain_is_shown_beside_what_is_sent(file: Path) -> None:
    """No list for the audience, an operation that an earlier rule makes already."""
    file.write_text(CONFIG + '  - {when: event = "Order Completed", do: event, product_metric: null}\n')
    _, (_, audience, order) = call(file, [IDENTIFY, track("Audience Entered"), track("Order Completed")])

    (missing,) = audience["not_sent"]
    assert (missing["outcome"], missing["kind"]) == ("dead_lettered", None)
    assert missing["reason"].startswith("mapping:rule 3: no list")
    assert (order["outcome"], len(order["requests"])) == ("routed", 1)
    assert order["not_sent"] == [
        {"account": "acme", "kind": None, "outcome": "filtered", "reason": "same_as:rule 2"}
    ]


ANONYMOUS = [
    {"type": "track", "event": "Order Completed", "messageId": "1", "anonymousId": "a1"},
    {"type": "identify", "messageId": "2", "anonymousId": "a1", "traits": {"plan": "pro"}},
]


def test_people_nobody_knows_are_sent_where_that_is_set_as_far_as_klaviyo_takes_them(file: Path) -> None:
    """By an anonymous id alone Klaviyo takes events, and no attributes."""
    _, held = call(file, ANONYMOUS)
    assert {answer["outcome"] for answer in held} == {"held"}

    file.write_text(CONFIG + "identity: {anonymous: send}\n")
    _, (event, attributes) = call(file, ANONYMOUS)
    who = event["requests"][0]["body"]["data"]["attributes"]["profile"]["data"]["attributes"]
    assert who == {"anonymous_id": "a1"}
    assert (attributes["outcome"], attributes["reason"]) == ("filtered", "anonymous")


def test_a_run_says_the_same_again(file: Path) -> None:
    lines = [ORDER, IDENTIFY, track("User Subscribed")]
    assert call(file, lines)[0].stdout == call(file, lines)[0].stdout


@pytest.mark.parametrize(
    "words", [[], ["-", "--since", "1h"], ["nowhere.ndjson"], ["-", "--now", "soon"], ["-", "--source", "x"]]
)
def test_wrong_usage_exits_2(file: Path, words: list[str]) -> None:
    assert CliRunner().invoke(app, ["dry-run", *words, "--config", str(file)]).exit_code == 2
