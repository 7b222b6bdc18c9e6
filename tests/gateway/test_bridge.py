"""Bridging a topic as Segment's Kafka destination writes it, with a real broker."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from streams.gateway.bridge_watch import STUCK_S, Watch
from streams.local import stack as local
from streams.local.stack import Stack
from tests.gateway.crossings import PARTITIONS, Crossings, page, stopped
from tests.line import eventually

pytestmark = pytest.mark.stack


@pytest.fixture
def crossings(stack: Stack, prefix: str, tmp_path: Path) -> Iterator[Crossings]:
    made = Crossings(stack, prefix, tmp_path)
    yield made
    made.close()


def test_messages_come_in_as_the_sources_own(crossings: Crossings) -> None:
    crossings.write([page(0), page(1, writeKey="hush")])
    with crossings.running():
        crossings.until(2)
    first, second = sorted(
        crossings.bench.decoded("segment.events", "envelope"), key=lambda each: str(each["event_id"])
    )
    assert (first["source"], first["space"], first["user_id"], first["body"]) == (
        "web",
        "acme",
        "u0",
        page(0),
    )
    assert first["trace_id"] == f"{crossings.topic}/0/0"
    assert second["body"] == page(1)


def test_a_broken_record_costs_one_record(crossings: Crossings) -> None:
    crossings.write([b"{", page(1), None, b'{"type":"page"}', b"", page(2), b"[1]", b"\xff", page(3)])
    with crossings.running():
        crossings.until(3)
        letters = crossings.bench.decoded("dead.letters", "dead_letter")
    assert sorted(crossings.event_ids()) == ["m1", "m2", "m3"]
    assert {letter["stage"] for letter in letters} == {"bridge"}
    assert {(letter["reason"], letter["bytes"]) for letter in letters} == {
        ("invalid_json", b"{"),
        ("invalid_json", b""),
        ("invalid_json", b"\xff"),
        ("invalid_message", b'{"type":"page"}'),
        ("invalid_message", b"[1]"),
    } | {("invalid_message", b"")}
    assert any(letter["detail"].startswith(f"{crossings.topic}/0/0: not JSON") for letter in letters)


def test_killed_again_and_again_it_loses_nothing_and_writes_nothing_twice(crossings: Crossings) -> None:
    total = 120_000
    crossings.write([page(n) for n in range(total)])
    for wanted in (1, 2_000):
        child = crossings.start(alone=True)
        try:
            crossings.until(wanted)
        finally:
            child.kill()
            child.wait()
    crossings.write([page(total + n) for n in range(100)])
    crossed = len(crossings.bench.read("segment.events"))
    with crossings.running():
        crossings.until(total + 100, timeout_s=120)
    assert 0 < crossed < total
    ids = crossings.event_ids()
    assert len(ids) == total + 100
    assert set(ids) == {f"m{n}" for n in range(total + 100)}


def test_two_share_the_partitions_and_nothing_is_doubled_when_they_come_and_go(crossings: Crossings) -> None:
    with crossings.running():
        crossings.write([page(n) for n in range(3_000)])
        crossings.says("bridge_assigned")
        second = crossings.start()
        try:
            crossings.says("bridge_assigned", times=3)
            crossings.write([page(n) for n in range(3_000, 9_000)])
            crossings.until(4_000)
            stopped(second)
        finally:
            second.kill()
            second.wait()
        crossings.write([page(n) for n in range(9_000, 10_000)])
        crossings.until(10_000)
    ids = crossings.event_ids()
    assert len(ids) == len(set(ids)) == 10_000


def test_latest_is_the_moment_of_the_first_start(crossings: Crossings) -> None:
    crossings.write([page(n) for n in range(9)])
    with crossings.running("--from", "latest"):
        crossings.says("bridge_assigned")
    crossings.write([page(n) for n in range(9, 12)])
    with crossings.running("--from", "latest"):
        crossings.until(3)
    assert sorted(crossings.event_ids()) == ["m10", "m11", "m9"]


def test_what_retention_took_is_never_skipped_silently(crossings: Crossings) -> None:
    crossings.write([page(n) for n in range(9)])
    with crossings.running():
        crossings.until(9)
    crossings.write([page(n) for n in range(9, 30)])
    admin = AdminClient({"bootstrap.servers": crossings.kafka})
    for deleted in admin.delete_records([TopicPartition(crossings.topic, 0, 6)]).values():
        deleted.result()
    child = crossings.start()
    assert child.wait(60) == 2
    assert "retention took" in crossings.log.read_text()


def test_a_topic_that_is_not_there_or_the_lines_own_is_wrong_use(crossings: Crossings) -> None:
    real = crossings.topic
    for topic, says in (
        (real + "-none", "there is no topic"),
        (crossings.bench.config.prefix + "segment.events", "the line itself"),
    ):
        crossings.topic = topic
        assert crossings.start().wait(60) == 2
        assert says in crossings.log.read_text()


def test_it_waits_for_a_broker_and_ends_in_time_without_one(tmp_path: Path) -> None:
    folder = tmp_path / "stack"
    stack = local.up(folder, say=print)
    try:
        crossings = Crossings(stack, "b-", tmp_path)
        crossings.write([page(n) for n in range(10)])
        with crossings.running():
            crossings.until(10)
            local.kill_broker(folder)
            local.start_broker(folder, say=print)
            crossings.write([page(n) for n in range(10, 20)])
            crossings.until(20)
            ids = crossings.event_ids()
            local.kill_broker(folder)
        assert sorted(ids) == sorted(f"m{n}" for n in range(20))
        crossings.close()
    finally:
        local.down(folder)


def test_it_tells_whether_it_crosses_how_much_and_how_far_behind_it_is(crossings: Crossings) -> None:
    crossings.write([page(0), b"{", page(2), page(3)])
    with crossings.running():
        crossings.until(3)
        eventually(lambda: crossings.ask("/readyz")[0] == 200)
        assert crossings.ask("/livez")[0] == 200

        def counted() -> bool:
            said = crossings.ask("/metrics")[1].splitlines()
            wanted = {
                'streams_bridge_records_total{source="web"} 4',
                'streams_bridge_refused_total{source="web"} 1',
                *(f'streams_bridge_lag_records{{source="web",partition="{n}"}} 0' for n in range(PARTITIONS)),
            }
            return wanted <= set(said)

        eventually(counted)


def test_when_its_process_ends_it_starts_again_and_goes_on(crossings: Crossings) -> None:
    crossings.write([page(n) for n in range(10)])
    with crossings.running():
        crossings.until(10)
        first = crossings.pid()
        os.kill(first, signal.SIGKILL)
        crossings.write([page(n) for n in range(10, 20)])
        crossings.until(20)
        assert crossings.pid() != first
    crossings.says("child_ended")
    assert sorted(crossings.event_ids()) == sorted(f"m{n}" for n in range(20))


def test_it_ends_with_whoever_started_it(crossings: Crossings) -> None:
    child = crossings.start()
    try:
        crossings.says("bridge_started")
        pid = crossings.pid()
    finally:
        child.kill()
        child.wait()

    def gone() -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False

    eventually(gone)


def test_a_transaction_that_hangs_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch("web")
    assert not watch.late
    with watch.over():
        assert not watch.late
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + STUCK_S + 1)
        assert watch.late
    assert not watch.late
