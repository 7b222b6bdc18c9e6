"""The check-up on a real broker, a real registry and the simulator of Klaviyo."""

import asyncio
import json
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer
from typer.testing import CliRunner

from streams.cli import app
from streams.config import load
from streams.engine import lanes
from streams.ledger.doctor import examine
from streams.ledger.findings import Finding
from streams.local.ports import free
from streams.local.stack import Stack
from streams.simulators.klaviyo.config import SimConfig, Webhook
from streams.simulators.klaviyo.server import make_app
from tests.ledger.test_audit import Line
from tests.ledger.test_diagnosis import RULES
from tests.line import PIPELINE, Bench

pytestmark = pytest.mark.stack


def pipeline(klaviyo: str) -> str:
    text = PIPELINE.replace("partitions:", RULES.lstrip("\n") + "partitions:")
    return text.replace("api_key: pk_acme,", f'api_key: pk_acme, url: "{klaviyo}",')


def by_check(findings: list[Finding]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in findings:
        found.setdefault(each.check, []).append(each.level)
    return found


async def test_it_tells_what_stands_and_what_does_not(stack: Stack, prefix: str, tmp_path: Path) -> None:
    hook = Webhook(url="https://gateway.shop.io/klaviyo/acme", secret="webhook-secret-acme")
    config = SimConfig(keys={"pk_acme": "acme"}, webhooks={"acme": hook})
    async with TestServer(make_app(config), host="127.0.0.1") as klaviyo:

        def look() -> list[Finding]:
            bench = Bench(stack, prefix, tmp_path, pipeline(str(klaviyo.make_url("")).rstrip("/")))
            line = Line(bench)
            line.accept(1)
            line.transaction(line.dead_letter("gateway", -1, partition=-1))
            lanes.pause(bench.config, ["acme/events"], "wrong metric")
            return list(examine(bench.config))

        findings = await asyncio.to_thread(look)
    found = by_check(findings)
    assert found.pop("disk")[0] in ("ok", "warn", "fail")  # this machine's, whatever it is
    assert found == {
        "versions": ["ok"],
        "sources": ["ok"],
        "brokers": ["warn"],
        "schemas": ["ok"],
        "topics": ["ok"],
        "slots": ["ok"],
        "clock": ["ok", "ok"],  # the broker's and Klaviyo's
        "lag": ["ok"],
        "stages": ["fail", "warn", "warn", "warn", "warn"],
        "lanes": ["warn"],
        "dead_letters": ["warn"],
        "revision": ["ok"],
        "keys": ["ok"],
        "scopes": ["ok"],
        "lists": ["fail"],
        "metrics": ["warn"],
        "webhooks": ["ok"],
    }
    (stands,) = (each for each in findings if each.level == "fail" and each.check == "stages")
    assert stands.says == "dedupe does not run, 1 wait"


def test_a_line_that_is_not_set_up_is_told_in_a_few_words(stack: Stack, prefix: str, tmp_path: Path) -> None:
    """What can't be there before ``topics apply`` is no finding of its own."""
    file = tmp_path / "pipeline.yaml"
    file.write_text(pipeline(f"http://127.0.0.1:{free(1)[0]}"))
    env = {
        "STREAMS_KAFKA_BOOTSTRAP": stack.kafka,
        "STREAMS_REGISTRY_URL": stack.registry,
        "STREAMS_PREFIX": prefix,
    }
    bad = [each for each in examine(load(file, env)) if each.level == "fail"]
    assert {each.check: each.mend for each in bad if each.check != "disk"} == {
        "schemas": "run `streams schemas register`",
        "topics": "run `streams topics apply`",
    }
    assert len([each for each in bad if each.check != "disk"]) == 2


def test_what_does_not_answer_is_told_and_ends_with_3(tmp_path: Path) -> None:
    kafka, registry, klaviyo = free(3)
    file = tmp_path / "pipeline.yaml"
    file.write_text(pipeline(f"http://127.0.0.1:{klaviyo}"))
    env = {
        "STREAMS_KAFKA_BOOTSTRAP": f"127.0.0.1:{kafka}",
        "STREAMS_REGISTRY_URL": f"http://127.0.0.1:{registry}",
        "STREAMS_DATA": str(tmp_path / "state"),
    }
    done = CliRunner().invoke(app, ["doctor", "--json", "--config", str(file)], env=env)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    levels = {each["check"]: each["level"] for each in found}
    assert {levels[name] for name in ("brokers", "schemas", "keys")} == {"away"}
    assert all(each["mend"] for each in found if each["level"] == "away")
    assert done.exit_code == (1 if "fail" in levels.values() else 3)  # the disk may be full
