"""Dry runs and the report on Classic over what a topic has, as their callers see them."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from streams.cli import app
from streams.local.stack import Stack
from tests.line import Bench, eventually, track

pytestmark = pytest.mark.stack


@pytest.fixture
def bench(stack: Stack, prefix: str, tmp_path: Path) -> Bench:
    return Bench(stack, prefix, tmp_path)


def answers(bench: Bench, *words: str) -> list[dict[str, Any]]:
    result = CliRunner().invoke(app, [*words, "--config", str(bench.file)], env=bench.env)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def order(number: int) -> Any:
    said = {"type": "track", "event": "Order Completed", "userId": "u1", "messageId": f"m{number}"}
    body = json.dumps(said | {"properties": {"order_id": f"o{number}", "revenue": number}}).encode()
    return track(number, user_id="u1", body=body)


def test_a_span_of_the_topic_is_read_in_the_order_of_arrival_and_compared(bench: Bench) -> None:
    first = order(1)
    bench.accept([first])
    later = time.time()
    eventually(lambda: time.time() > later + 0.01)
    since = datetime.fromtimestamp(later + 0.005, UTC).isoformat()
    now = int(time.time() * 1000)
    bench.accept(order(number) | {"accepted_at": now + number} for number in (3, 2))

    found = answers(bench, "dry-run", "--since", "1h")
    assert [answer["event_id"] for answer in found] == ["m1", "m2", "m3"]
    assert {answer["outcome"] for answer in found} == {"routed"}
    assert [answer["event_id"] for answer in answers(bench, "dry-run", "--since", since)] == ["m2", "m3"]

    other = bench.folder / "other.yaml"
    other.write_text(bench.file.read_text().replace("do: event", "do: event, metric: Bought"))
    *lines, last = answers(bench, "dry-run", "--since", since, "--against", str(other))
    assert [line["same"] for line in lines] == [False, False]
    assert last["summary"]["requests"]["removed"] == {"acme/events": 2}

    *told, summary = answers(bench, "rules", "classic", "--since", since, "--json")
    assert [[call["call"] for call in each["then"]] for each in told] == [["/track Placed Order"]] * 2
    assert [row["name"] for row in summary["summary"]] == ["Order Completed"]
