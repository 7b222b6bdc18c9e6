"""Redrives against a real broker; the letters are written by hand, what stages make of them too."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from streams.engine.control import now_ms
from streams.gateway.readmit import readmit
from streams.ledger.audit import audit
from streams.ledger.dead_letters import listing
from streams.ledger.letters import Filters
from streams.ledger.redrive import Counts, Plan, run
from streams.local.stack import Stack
from tests.ledger.said import origin, refuses
from tests.ledger.test_audit import Line, counts
from tests.line import Bench

pytestmark = pytest.mark.stack
GOOD = b'{"type":"track","event":"Order Completed","userId":"u1","messageId":"m1"}'


@pytest.fixture
def bench(stack: Stack, prefix: str, tmp_path: Path) -> Bench:
    return Bench(stack, prefix, tmp_path)


@pytest.fixture
def line(bench: Bench) -> Line:
    """Two events: one whose delivery was refused; and two messages that the gateway refused."""
    line = Line(bench)
    line.accept(1)
    _, _, operation = line.operation(0, "d")
    line.transaction(
        letter(line, refuses("gateway", -1, partition=-1), GOOD),
        letter(line, refuses("gateway", -1, partition=-1), b"nope"),
        letter(line, refuses("deliver", 0, account="acme", lane="events", delivery_id="d"), operation),
        line.outcome("route", 0, "routed", deliveries=["d"]),
        line.outcome("deliver", 0, "dead_lettered", "rejected", delivery_id="d"),
        line.position("dedupe", segment_events=1),
        line.position("deliver", klaviyo_events=0),
    )
    return line


def letter(line: Line, value: dict[str, Any], data: bytes) -> tuple[str, None, bytes]:
    return "dead.letters", None, line.registry.codec("dead_letter").encode(value | {"bytes": data})


def work(line: Line, plan: Plan) -> Counts:
    return run(line.config, plan, readmit, lambda *_: None)


def statuses(line: Line) -> list[str]:
    return [each["status"] for each in listing(line.config, Filters())]


def test_letters_go_back_once_and_count_by_what_becomes_of_them(line: Line, bench: Bench) -> None:
    assert counts(audit(line.config).document()) == {"accepted": 3, "dead_lettered": 3}
    dry = work(line, Plan("redrive", dry_run=True))
    assert (dry.chosen, dry.done, dry.stay) == (3, 2, 1)
    assert statuses(line) == ["open", "open", "open"]
    assert bench.read("klaviyo.events.backfill") == []

    found = work(line, Plan("redrive"))
    assert (found.chosen, found.done, found.before, found.stay) == (3, 2, 0, 1)
    assert found.topics == {"segment.events.backfill": 1, "klaviyo.events.backfill": 1}
    assert found.left[0]["why"].startswith("still no JSON")
    again = work(line, Plan("redrive"))
    assert (again.done, again.before, again.stay) == (0, 2, 1)
    assert statuses(line) == ["redriven", "open", "redriven"]
    (sent,) = bench.decoded("klaviyo.events.backfill", "operation")
    assert sent["origin"] == origin(0, replay=found.run)
    (entered,) = bench.decoded("segment.events.backfill", "envelope")
    assert (entered["event_id"], entered["body"]) == ("m1", GOOD)

    # the refused message is a record of its own now; the operation waits before its lane
    assert counts(audit(line.config).document()) == {"accepted": 3, "dead_lettered": 1, "in_flight": 2}
    line.transaction(
        line.outcome("deliver", 0, "delivered", "accepted", delivery_id="d", replay=found.run, at=now_ms()),
        line.position("deliver", klaviyo_events=0, klaviyo_events_backfill=1),
    )
    document = audit(line.config).document()
    assert counts(document) == {"accepted": 3, "delivered": 1, "dead_lettered": 1, "in_flight": 1}
    assert sum(each["open"] for each in document["dead_letters"]) == 1
    assert sum(each["redriven"] for each in document["dead_letters"]) == 2


def test_a_discarded_letter_stays_and_is_taken_only_when_asked_again(line: Line, bench: Bench) -> None:
    found = work(line, Plan("discard", Filters(lane="events"), why="test data"))
    assert (found.chosen, found.done) == (1, 1)
    (discarded,) = listing(line.config, Filters(lane="events"))
    assert (discarded["status"], discarded["run"], discarded["why"]) == ("discarded", found.run, "test data")
    assert counts(audit(line.config).document()) == {"accepted": 3, "dead_lettered": 3}
    assert work(line, Plan("redrive", Filters(lane="events"))).before == 1
    assert bench.read("klaviyo.events.backfill") == []
    assert work(line, Plan("redrive", Filters(lane="events"), again=True)).done == 1
    assert len(bench.read("klaviyo.events.backfill")) == 1
    assert statuses(line) == ["open", "open", "redriven"]


def test_a_record_refused_for_several_accounts_goes_back_once(line: Line, bench: Bench) -> None:
    _, _, event = line.profile_event(0)
    refused = [refuses("route", 0, account=name, at=now_ms()) for name in ("acme", "other")]
    line.transaction(*(letter(line, each, event) for each in refused))
    found = work(line, Plan("redrive", Filters(stage="route", since=now_ms() - 60_000)))
    assert (found.chosen, found.done, found.topics) == (2, 2, {"profile.events.backfill": 1})
    assert len(bench.read("profile.events.backfill")) == 1
    assert statuses(line) == ["open", "open", "open", "redriven", "redriven"]


def test_the_command_tells_what_it_did_by_its_exit_code(line: Line, bench: Bench) -> None:
    def command(*arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "streams", "dead-letters", *arguments, "--config", str(bench.file)],
            env=os.environ | bench.env,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return done.returncode, done.stdout + done.stderr

    assert command("redrive")[0] == 2
    ids = [each["id"] for each in listing(line.config, Filters())]
    code, said = command("redrive", ids[0], "--json")
    assert (code, json.loads(said)["done"]) == (0, 1)
    code, said = command("redrive", ids[1], "0-99")
    assert code == 1
    assert f"{ids[1]} stays: still no JSON" in said
    assert "no dead letter 0-99" in said
