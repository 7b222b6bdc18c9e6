"""``streams rules classic`` as its callers see it: what was then, what is now, and how they differ."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from streams.cli import app
from tests.uses import BLOCKS

OLD = """
accounts: {acme: {klaviyo: {api_key: "${NOT_SET}"}}}
sources: {web: {accounts: [acme]}}
rules:
"""
ORDER = {
    "order_id": "o1", "revenue": 50.0, "total": 65.0, "currency": "USD",
    "products": [{"product_id": 1, "sku": "s", "name": "Pulse", "price": 20.0, "quantity": 2}],
}  # fmt: skip
IDENTIFY = {"type": "identify", "userId": "u1", "traits": {"email": "ada@example.com", "plan": "pro"}}


def track(event: str, /, **properties: Any) -> dict[str, Any]:
    return {"type": "track", "userId": "u1", "event": event, "properties": properties}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "pipeline.yaml"


def call(file: Path, lines: list[Any], *words: str) -> Result:
    sent = [
        line if isinstance(line, str) else json.dumps(line | {"messageId": n}) for n, line in enumerate(lines)
    ]
    command = ["rules", "classic", "-", "--config", str(file), "--now", "2026-01-01T00:00:00Z", *words]
    return CliRunner().invoke(app, command, input="\n".join(sent))


def told(file: Path, lines: list[Any], *words: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Each message, and the summary."""
    result = call(file, lines, *words, "--json")
    assert result.exit_code == 0, result.output
    *each, last = map(json.loads, result.stdout.splitlines())
    return each, last["summary"]


def whats(row: dict[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for change in row["changes"]:
        found.setdefault(change["what"], []).append(change["field"])
    return found


def test_the_page_of_uses_differs_in_ids_consent_and_what_is_added_only(file: Path) -> None:
    (text,) = BLOCKS[11]
    file.write_text(text)
    lines = [IDENTIFY, IDENTIFY, track("Order Completed", **ORDER), track("Played", revenue=3)]
    (first, again, order, played), _ = told(file, lines, "--list", "News")

    assert first["then"][0]["call"] == "/v1/list/News/members"
    assert whats(first) == {"subscription": ["News"]}
    assert first["changes"][0]["now"].endswith("list News")
    assert whats(again) == {"not subscribed now": ["News"]}
    assert again["changes"][0]["now"] == "once"
    assert [call["metric"] for call in order["then"]] == ["Placed Order", "Ordered Product"]
    assert whats(order) == {
        "id": ["Placed Order: $event_id", "Ordered Product: $event_id"],
        "identifier added": ["Placed Order: email", "Ordered Product: email"],
        "property added": ["Placed Order: OrderId", "Placed Order: total",
                           "Ordered Product: OrderId", "Ordered Product: ProductID"],
    }  # fmt: skip
    assert whats(played) == {"id": ["$event_id"], "identifier added": ["email"]}


def test_other_rules_rename_drop_and_leave_out_and_each_is_named(file: Path) -> None:
    file.write_text(
        OLD
        + """
  - {when: type = "identify", do: profile}
  - {when: event = "Order Completed", do: event, product_metric: null}
"""
    )
    traits = {"email": "ada@example.com", "firstName": "Ada", "phone": "020 1234567"}
    lines = [IDENTIFY | {"traits": traits}, track("Order Completed", **ORDER), track("Played")]
    (person, order, played), summary = told(file, lines, "--list", "News", "--segment-spec")

    found = whats(person)
    assert found["property dropped"] == ["firstName"]
    assert found["identifier dropped"] == ["$phone_number"]
    assert found["can't be mapped"] == ["traits.phone"]
    reasons = [change["now"] for change in person["changes"] if change["what"] == "not subscribed now"]
    assert reasons == ["no rule subscribes: consent has to be given explicitly"]
    found = whats(order)
    assert found["metric renamed"] == ["Order Completed: Order Completed"]
    assert found["value changed"] == ["Order Completed: $value"]
    assert found["not sent now"] == ["/track Ordered Product"]
    assert "Order Completed: Item Names" in found["property renamed"]
    assert whats(played) == {"not sent now": ["/track Played"]}
    assert [(row["name"], row["messages"]) for row in summary] == [
        ("identify", 1), ("Order Completed", 1), ("Played", 1),
    ]  # fmt: skip
    assert summary[2]["now"] == {"none: filtered (no_rule)": 1}


def test_settings_of_the_destination_decide_what_was_then(file: Path) -> None:
    file.write_text(OLD + '  - {when: type = "track", do: event}\nidentity: {anonymous: send}\n')
    message = {"type": "track", "anonymousId": "a1", "event": "Played"}
    ((row,), _) = told(file, [message])
    assert row["not_sent_then"] == "no userId, and anonymous data was not sent"
    assert whats(row) == {"sent now, not then": ["event Played"]}
    ((row,), _) = told(file, [message], "--send-anonymous")
    assert whats(row) == {"id": ["$event_id"], "identifier renamed": ["$id"]}


def test_a_person_reads_it_by_event_name(file: Path) -> None:
    file.write_text(OLD + '  - {when: type = "track", do: event}\n')
    result = call(file, [track("Completed Order", revenue=1), track("Played"), track("Played", a=1), "{bad"])
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert lines[:3] == [
        "Completed Order: 1 message",
        "  then  /track Placed Order (1)",
        "  now   event Placed Order (1)",
    ]
    assert "Played: 2 messages" in lines
    assert "unreadable: 1 message" in lines


def test_no_messages_are_none_and_two_sources_of_them_wrong_usage(file: Path) -> None:
    file.write_text(OLD + '  - {when: type = "track", do: event}\n')
    assert call(file, []).stdout == "no messages\n"
    assert call(file, [], "--since", "1h").exit_code == 2
    assert call(file, [], "--source", "x").exit_code == 2
