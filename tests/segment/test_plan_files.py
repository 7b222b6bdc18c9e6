"""Contracts in their folder, and what the configuration says of them."""

import json
from pathlib import Path

import pytest

from streams.config import ConfigError, loads
from streams.segment import plan_files

CONFIG = """
accounts: {acme: {klaviyo: {api_key: k}}}
sources: {web: {accounts: [acme]}}
rules: [{when: type = "track", do: event}]
"""
SCHEMA = {"type": "record", "name": "A", "event": "A", "fields": [{"name": "x", "type": "string"}]}


def config(text: str) -> plan_files.Config:
    return loads(CONFIG + text, "pipeline.yaml", {})


def test_the_contracts_that_come_along_are_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plan = plan_files.load(config('contracts: {events: {"Order Completed": {enforce: true}}}'))
    assert plan.levels == {"Order Completed": True}
    assert plan_files.load(config("")).idle


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.avsc").write_text(json.dumps(SCHEMA))
    (tmp_path / "b.avsc").write_text(json.dumps(SCHEMA))
    (tmp_path / "c.avsc").write_text("{")
    found = config(f"contracts: {{folder: {tmp_path}, events: {{a: {{enforce: warn}}}}}}")
    with pytest.raises(ConfigError) as raised:
        plan_files.load(found)
    said = sorted(problem.message for problem in raised.value.problems)
    assert said[0] == "A: there are two contracts for it"
    assert said[1].startswith("can't be read")
    assert said[2].startswith("contracts.events: 'a' has no contract")
    assert [p.write for p in raised.value.problems if "events" in p.message] == ["A"]


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("{events: {A: {enforce: maybe}}}", "'maybe' is not known"),
        ("{events: {A: {enforced: true}}}", "unknown key 'enforced'"),
        ("{unknown: sometimes}", "'sometimes' is not known"),
    ],
)
def test_a_wrong_section_is_told_with_its_line(section: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        config(f"contracts: {section}")
    assert said in raised.value.problems[0].message
    assert raised.value.problems[0].line == 5
    assert raised.value.problems[0].write
