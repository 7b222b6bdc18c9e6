"""``streams rules test``: the examples that users keep beside their rules."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from streams.cli import app

CONFIG = """
accounts: {acme: {klaviyo: {api_key: "${NOT_SET_IN_CI}"}}}
sources: {web: {accounts: [acme]}}
rules:
  - {when: type = "track", do: event, name: orders}
"""
EXAMPLE = """
tests:
  - name: an order is recorded with its value
    messages:
      - {type: track, event: Order Completed, userId: u1, properties: {total: 12.5}}
    expect:
      - outcome: routed
        matched_rules: [orders]
        requests:
          - {account: acme, body: {data: {attributes: {value: VALUE, properties: {}}}}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pipeline.yaml").write_text(CONFIG)
    return tmp_path


def call(folder: Path, text: str, *words: str) -> Result:
    (folder / "shop.rules-test.yaml").write_text(text)
    return CliRunner().invoke(app, ["rules", "test", "--config", str(folder / "pipeline.yaml"), *words])


def test_what_is_written_is_compared_and_nothing_else(folder: Path) -> None:
    result = call(folder, EXAMPLE.replace("VALUE", "12.50"))
    assert (result.exit_code, result.stdout.splitlines()) == (
        0,
        ["ok    an order is recorded with its value", "1 of 1 examples are as they should be"],
    )


def test_a_difference_is_shown_with_its_place_and_exits_1(folder: Path) -> None:
    result = call(folder, EXAMPLE.replace("VALUE", "13"))
    assert result.exit_code == 1
    assert result.stdout.splitlines()[1:4] == [
        "        message 1.requests[0].body.data.attributes.value",
        "          expected: 13",
        "          found:    12.5",
    ]
    assert "shop.rules-test.yaml:3" in result.stdout


def test_a_list_is_compared_with_every_element(folder: Path) -> None:
    """So no requests at all can be expected."""
    text = EXAMPLE[: EXAMPLE.index("        requests:")] + "        requests: []\n"
    found = json.loads(call(folder, text, "--json").stdout)
    assert (found["tests"], found["failed"]) == (1, 1)
    assert [d["path"] for d in found["results"][0]["differences"]] == ["message 1.requests[0]"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tests: 5", "no list of tests"),
        ("tests: [{messages: [{}], expect: []}]", "expect must be a list"),
        ("tests: [{messages: [{}], expect: [{}, {}]}]", "1 messages, and 2 entries"),
        ("tests: [{messages: [{}], expect: [{outcom: routed}]}]", "no 'outcom'"),
        ("tests: [{mesages: [{}], messages: [{}], expect: [{}]}]", "no 'mesages'"),
    ],
)
def test_a_file_that_is_none_says_so_at_its_line(folder: Path, text: str, said: str) -> None:
    result = call(folder, text)
    assert isinstance(result.exception, Exception)
    assert said in str(result.exception)
    assert "shop.rules-test.yaml:1:" in str(result.exception)


def test_without_examples_it_is_wrong_usage(folder: Path) -> None:
    found = CliRunner().invoke(app, ["rules", "test", "--config", str(folder / "pipeline.yaml")])
    assert found.exit_code == 2


def test_what_is_slimmed_is_shown_before_anything_is_sent(folder: Path) -> None:
    section = "payload: {slim: [{drop: $.properties.debug, always: true}]}\n"
    (folder / "pipeline.yaml").write_text(section + CONFIG)
    example = EXAMPLE.replace("total: 12.5", "total: 12.5, debug: [1]").replace("VALUE", "12.5")
    shown = example + '        unmapped: ["properties.debug: dropped"]\n'
    assert call(folder, shown).exit_code == 0
    assert call(folder, example + "        unmapped: []\n").exit_code == 1
