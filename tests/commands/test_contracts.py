"""``streams contracts`` as its callers see it, on a real line and in a real browser."""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from typer.testing import CliRunner

from streams.cli import app
from streams.commands.contracts_page import html, properties, sample, ways
from streams.config import loads
from streams.engine.registry import api
from streams.local.stack import Stack
from streams.segment import plan_files
from streams.segment.contracts import Contracts
from streams.segment.tracking_plan import TrackingPlan
from tests.line import PIPELINE, Bench, eventually
from tests.segment.test_contracts import SCHEMAS

ORDER = SCHEMAS[0]
CONFIG = """
accounts:
  nl: {space: shop, klaviyo: {api_key: k1}}
  de: {space: shop, klaviyo: {api_key: k2}}
sources: {web: {accounts: [nl, de]}}
rules:
  - {name: orders, when: event = "Order Completed", do: event, product_metric: null}
  - {name: big, when: event = "Order Completed" and properties.total > 1000, do: list_add, accounts: [de]}
  - {name: people, when: type = "identify", do: profile}
"""
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


def test_a_sample_keeps_its_contract() -> None:
    message = {"event": "Order Completed", "properties": sample(ORDER)}
    assert Contracts([ORDER]).violations(message) == []
    assert message["properties"]["products"][0]["sku"] == "45790-32"


def test_every_property_has_its_path_type_and_example() -> None:
    rows = {row.path: row for row in properties(ORDER)}
    assert rows["order_id"][1:4] == ("string", True, "The shop's order number.")
    assert rows["products[].price"][1:] == ("double", False, "Of one piece.", "19")


def test_the_rules_say_where_an_event_goes() -> None:
    config = loads(CONFIG, "pipeline.yaml", {})
    assert [tuple(way) for way in ways("Order Completed", ORDER, config)] == [
        ("orders", "metric Placed Order", "nl, de"),
        ("big", 'list_add, when event = "Order Completed" and properties.total > 1000', "de"),
    ]


def test_what_users_wrote_is_text_on_the_page() -> None:
    schema = {"type": "record", "event": "<b>", "doc": "<i>", "fields": []}
    text = html(loads(CONFIG, "pipeline.yaml", {}), TrackingPlan(Contracts([schema]), {}))
    assert "&lt;b&gt;" in text
    assert "<i>" not in text


def test_a_browser_shows_the_page(tmp_path: Path) -> None:
    if CHROMIUM is None:
        assert not os.environ.get("CI"), "CI must have Chromium: apt-get install chromium"
        pytest.skip("Chromium is not installed: apt-get install chromium")
    file, out = tmp_path / "pipeline.yaml", tmp_path / "contracts.html"
    file.write_text(CONFIG + 'contracts: {events: {"Order Completed": {enforce: true}}}')
    result = CliRunner().invoke(app, ["contracts", "page", "--out", str(out), "--config", str(file)])
    assert (result.exit_code, result.stdout) == (0, f"{out}\n")

    profile = f"--user-data-dir={tmp_path / 'browser'}"
    shot = f"--screenshot={tmp_path / 'page.png'}"
    command = [CHROMIUM, *FLAGS, profile, "--window-size=1000,1200"]
    dom, _ = (
        subprocess.run([*command, do, out.as_uri()], capture_output=True, text=True, timeout=120, check=True)
        for do in ("--dump-dom", shot)
    )

    assert '<span class="enforced"' in dom.stdout
    assert "metric Placed Order" in dom.stdout
    assert (tmp_path / "page.png").stat().st_size > 20_000


@contextmanager
def gateway(bench: Bench) -> Iterator[str]:
    command = [sys.executable, "-m", "streams", "gateway", "--config", str(bench.file)]
    with subprocess.Popen(
        command, env=os.environ | bench.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as child:
        assert child.stdout is not None
        word, _, said = child.stdout.readline().partition(" ")
        assert word == "READY"
        try:
            yield json.loads(said)["gateway"]
        finally:
            child.terminate()


def post(url: str, *messages: dict[str, Any]) -> bool:
    """Send a batch; False while the gateway still learns what it needs."""
    body = json.dumps({"batch": messages, "writeKey": "web"}).encode()
    request = urllib.request.Request(f"{url}/v1/batch", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return bool(reply.status == 200)
    except HTTPError as error:
        error.close()
        if error.code != 503:
            raise
        return False


@pytest.mark.stack
def test_a_line_reports_what_it_refused_and_learns_from_what_it_took(
    stack: Stack, prefix: str, tmp_path: Path
) -> None:
    contracts = 'contracts: {events: {"Order Completed": {enforce: true}}}\n'
    bench = Bench(stack, prefix, tmp_path, PIPELINE + contracts)
    order = {"type": "track", "event": "Order Completed", "userId": "u1"}
    good = order | {"messageId": "good", "properties": {"order_id": "o1", "products": [], "total": 3}}
    bad = order | {"messageId": "bad", "properties": {"products": [{"price": "1"}]}}

    def ask(command: str, *words: str) -> str:
        result = CliRunner().invoke(
            app, [*command.split(), *words, "--config", str(bench.file)], env=bench.env
        )
        assert result.exit_code == 0, result.output
        return result.stdout

    with gateway(bench) as url:
        eventually(lambda: post(url, good, bad))

    report = json.loads(ask("contracts report --since 1h --json"))
    assert report["totals"] == {"count": 2, "accepted": 1, "refused": 1, "broken": 1}
    assert [each["path"] for each in report["events"][0]["violations"]] == [
        "properties.order_id",
        "properties.products[].price",
    ]
    (letter,) = map(json.loads, ask("dead-letters list --reason contract --json").splitlines())
    assert letter["detail"] == (
        "properties.order_id must be string, this is missing; "
        "properties.products[0].price must be null or double, this is text '1'"
    )
    (learned,) = map(json.loads, ask("contracts learn --since 1h").splitlines())
    assert [field["name"] for field in learned["fields"]] == ["order_id", "products", "total"]
    (answer,) = map(json.loads, ask("dry-run --since 1h").splitlines())
    assert (answer["event_id"], answer["outcome"], answer["profile"]["external_id"]) == (
        "good",
        "routed",
        "u1",
    )
    assert api(bench.config)._call("GET", f"/subjects/{prefix}contract.order_completed/versions") == [1]


def test_learned_contracts_are_written_and_none_is_overwritten(tmp_path: Path) -> None:
    messages = tmp_path / "messages.ndjson"
    messages.write_text('{"type": "track", "event": "Signed Up", "properties": {"plan": "free"}}\n{broken\n')
    command = ["contracts", "learn", str(messages), "--write", str(tmp_path / "contracts")]

    first, second = (CliRunner().invoke(app, command) for _ in range(2))

    assert first.stdout == f"{tmp_path / 'contracts' / 'signed_up.avsc'}\n"
    assert second.stdout == ""
    third = CliRunner().invoke(app, [*command, "--json"])
    file = str(tmp_path / "contracts" / "signed_up.avsc")
    assert json.loads(third.stdout) == {"event": "Signed Up", "file": file, "written": False}
    folder = f"contracts: {{folder: {tmp_path / 'contracts'}, events: {{Signed Up: {{enforce: warn}}}}}}"
    assert plan_files.check(loads(CONFIG + folder, "pipeline.yaml", {})) == []


def test_the_page_says_as_json_what_it_wrote(tmp_path: Path) -> None:
    file, out = tmp_path / "pipeline.yaml", tmp_path / "contracts.html"
    file.write_text(CONFIG + 'contracts: {events: {"Order Completed": {enforce: true}}}')
    command = ["contracts", "page", "--out", str(out), "--config", str(file), "--json"]
    told = json.loads(CliRunner().invoke(app, command).stdout)
    assert told["file"] == str(out)
    assert "Order Completed" in told["events"]


def test_config_check_reads_the_contracts_too(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text(CONFIG + "contracts: {events: {Nothing: {enforce: true}}}")
    result = CliRunner().invoke(app, ["config", "check", "--config", str(file)])
    assert result.exit_code == 1
    assert "'Nothing' has no contract" in result.stdout
