"""Replays against a real broker; what stages say is written by hand."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from streams.engine.control import now_ms
from streams.engine.errors import Misconfigured
from streams.engine.reading import Reader
from streams.ledger.audit import audit
from streams.ledger.choice import Choice, parse_outcome
from streams.ledger.progress import Progress
from streams.ledger.replay import Plan, Span, run, unfinished
from streams.local.stack import Stack
from tests.ledger.said import origin
from tests.ledger.test_audit import Line, counts
from tests.line import Bench, eventually

pytestmark = pytest.mark.stack
ANY = Choice((parse_outcome("any"),))
DAY_MS = 86_400_000


@pytest.fixture
def bench(stack: Stack, prefix: str, tmp_path: Path) -> Bench:
    return Bench(stack, prefix, tmp_path)


@pytest.fixture
def line(bench: Bench) -> Line:
    """Six records: two that no rule wanted, one delivered, one dead letter, one copy, one on its way."""
    line = Line(bench)
    line.accept(6)
    line.transaction(
        line.outcome("route", 0, "filtered", "no_rule"),
        line.outcome("route", 1, "filtered", "integrations"),
        line.outcome("route", 2, "routed", deliveries=["d"]),
        line.outcome("deliver", 2, "delivered", "accepted", delivery_id="d", account="acme"),
        line.dead_letter("route", 3),
        line.outcome("dedupe", 4, "duplicate", "seen_before"),
        line.position("dedupe", segment_events=5),
    )
    return line


def work(line: Line, plan: Plan) -> Progress:
    return run(line.config, plan, lambda _: ["acme/events"], lambda *_: None)


def sent(bench: Bench) -> list[int]:
    records = bench.decoded("segment.unique.backfill", "unique")
    return sorted(record["origin"]["offset"] for record in records)


def test_what_came_to_nothing_goes_behind_dedupe_once_with_the_replay_in_its_origin(
    line: Line, bench: Bench
) -> None:
    found = work(line, Plan())
    counted = found.counts
    assert (counted.read, counted.chosen, counted.sent, counted.stay) == (6, 2, 2, 0)
    assert counted.found["filtered:no_rule"] == counted.found["in_flight"] == 1
    records = bench.decoded("segment.unique.backfill", "unique")
    assert [record["origin"] for record in records] == [origin(n, replay=found.run) for n in range(2)]
    untouched = [each.value() for each in bench.read("segment.events")]
    assert [record["event"] for record in records] == untouched[:2]
    assert unfinished(line.config) is None

    # they wait before identify: in flight, and nothing that a second replay takes
    assert counts(audit(line.config).document()) == {
        "accepted": 6, "delivered": 1, "dead_lettered": 1, "duplicate": 1, "in_flight": 3,
    }  # fmt: skip
    assert work(line, Plan()).counts.chosen == 0
    line.transaction(
        line.outcome("route", 0, "routed", deliveries=["n"], replay=found.run, at=now_ms()),
        line.outcome("deliver", 0, "delivered", "accepted", delivery_id="n", replay=found.run, at=now_ms()),
        line.outcome("route", 1, "filtered", "no_rule", replay=found.run, at=now_ms()),
        line.position("identify", segment_unique_backfill=2),
    )
    report = counts(audit(line.config).document())
    assert (report["delivered"], report["filtered"], report["in_flight"]) == (2, 1, 1)
    assert work(line, Plan(choice=Choice((parse_outcome("filtered:no_rule"),)))).counts.sent == 1


def test_any_takes_all_that_is_settled_but_not_what_no_lane_remembers(line: Line, bench: Bench) -> None:
    found = work(line, Plan(choice=ANY)).counts
    assert (found.chosen, found.sent, found.stay) == (4, 3, 1)
    assert found.left[0]["id"] == "0-2"
    assert sent(bench) == [0, 1, 3]


def test_a_dry_run_counts_and_writes_nothing(line: Line, bench: Bench) -> None:
    found = work(line, Plan(dry_run=True)).counts
    assert (found.chosen, found.sent, found.would, found.events) == (
        2, 2, {"acme/events": 2}, {"track": 2},
    )  # fmt: skip
    assert bench.read("segment.unique.backfill") == []
    assert unfinished(line.config) is None


@pytest.mark.parametrize(
    ("span", "read"),
    [
        (Span(first={0: 1}), 5),
        (Span(first={0: 1}, last={0: 3}), 2),
        (Span(first={1: 0}), 0),
        (Span(since=now_ms() - DAY_MS), 6),
        (Span(since=now_ms() + DAY_MS), 0),
        (Span(until=now_ms() - DAY_MS), 0),
        (Span(until=now_ms() + DAY_MS), 6),
        (Span(topics=("segment.events.backfill",)), 0),
    ],
)
def test_a_span_is_of_offsets_or_of_time(line: Line, span: Span, read: int) -> None:
    assert work(line, Plan(span, ANY, dry_run=True)).counts.read == read


def test_there_is_nothing_to_resume_after_a_replay_that_ended(line: Line) -> None:
    work(line, Plan())
    with pytest.raises(Misconfigured, match="no replay was left unfinished"):
        work(line, Plan(resume=True))


MANY = 40_000


def command(bench: Bench, *words: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "streams", "replay", *words, "--config", str(bench.file), "--json"],
        env=os.environ | bench.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_killed_in_the_middle_a_resumed_replay_neither_skips_nor_doubles(bench: Bench) -> None:
    line = Line(bench)
    line.accept(MANY)
    line.transaction(
        *(line.outcome("route", n, "filtered", "no_rule") for n in range(MANY)),
        line.position("dedupe", segment_events=MANY),
    )
    reader = Reader(line.config.kafka.client())
    (place,) = reader.places([f"{line.config.prefix}segment.unique.backfill"])
    replay = command(bench, "--since", "1d", "--yes")
    try:
        eventually(lambda: reader.ends([place])[place] > 2_000)
    finally:
        replay.kill()
        replay.communicate()
    left = unfinished(line.config)
    assert left is None or 0 < left.counts.sent < MANY
    assert left is not None, "it was over before it was killed"

    again = command(bench, "--resume")
    out, errors = again.communicate(timeout=120)
    assert again.returncode == 0, errors
    assert json.loads(out)["sent"] == MANY
    assert json.loads(out)["run"] == left.run
    assert sent(bench) == list(range(MANY))


def test_the_command_tells_what_is_wrong_by_its_exit_code(line: Line, bench: Bench) -> None:
    def code(*words: str) -> tuple[int, Any]:
        process = command(bench, *words)
        out, errors = process.communicate(timeout=120)
        return process.returncode, out.decode() + errors.decode()

    assert code()[0] == 2
    assert code("--all")[0] == 2  # nobody can be asked, and nobody said --yes
    assert code("--all", "--outcome", "held", "--yes")[0] == 2
    assert code("--to-offset", "0-3", "--yes")[0] == 2
    assert code("--all", "--account", "nobody", "--yes")[0] == 2
    status, said = code("--all", "--dry-run", "--account", "acme")
    assert (status, json.loads(said)["chosen"]) == (0, 2), said
    status, said = code("--from-offset", "0-1", "--outcome", "any", "--yes")
    assert (status, json.loads(said)["sent"], json.loads(said)["stay"]) == (1, 2, 1), said
    assert sent(bench) == [1, 3]


def test_a_person_is_shown_what_it_would_be_and_asked(line: Line, bench: Bench) -> None:
    ours, theirs = pty.openpty()
    asked = subprocess.Popen(
        [sys.executable, "-m", "streams", "replay", "--all", "--config", str(bench.file)],
        env=os.environ | bench.env,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    try:
        seen = b""
        while b"Send it?" not in seen:
            seen += os.read(ours, 1000)
        assert sent(bench) == []
        os.write(ours, b"y\n")
        out, _ = asked.communicate(timeout=60)
    finally:
        asked.kill()
        os.close(ours)
        os.close(theirs)
    assert asked.returncode == 0
    assert b"2 would be replayed" in out
    assert b"2 replayed by" in out
    assert sent(bench) == [0, 1]
