"""One transaction a batch: whatever is killed whenever, each accepted record goes through once, in order."""

import re
import shutil
import signal
import time
from collections import defaultdict
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from streams.engine.errors import STANDS
from streams.engine.reading import Reader
from streams.local.stack import Stack
from tests.line import Bench, eventually, kill_at_random, running, track

pytestmark = pytest.mark.stack


def _through(bench: Bench) -> int:
    """Records that left dedupe: forwarded or said to be duplicates (transaction markers count too)."""
    reader = Reader(bench.config.kafka.client())
    place = (bench.config.prefix + "changelog.dedupe", 0)
    return reader.stable([place])[place]


def test_kill_9_at_random_loses_and_doubles_nothing(stack: Stack, prefix: str, tmp_path: Path) -> None:
    """Every accepted record is in ``segment.unique`` once or is a duplicate; order per identifier is kept."""
    bench = Bench(stack, prefix, tmp_path)
    events, people = 60_000, 500
    repeated = [track(n, user_id=f"u{n % people}") for n in range(0, 3_000, 7)]
    with running(bench, "dedupe") as workers:
        bench.accept(track(n, user_id=f"u{n % people}") for n in range(events))
        bench.accept(repeated)
        kill_at_random(bench, workers, kills=4, seed=7, done=lambda: False)
        eventually(lambda: len(bench.read("outcomes")) == len(repeated))
        eventually(lambda: bench.reached("segment.unique", events))

    unique = bench.decoded("segment.unique", "unique")
    origins = [(row["origin"]["partition"], row["origin"]["offset"]) for row in unique]
    duplicates = bench.decoded("outcomes", "outcome")

    assert events == len(unique) == len(set(origins))
    assert {"duplicate"} == {row["outcome"] for row in duplicates}
    by_partition: defaultdict[int, list[int]] = defaultdict(list)
    for partition, offset in origins:
        by_partition[partition].append(offset)
    assert all(offsets == sorted(offsets) for offsets in by_partition.values())


def test_state_comes_back_from_the_changelog_alone(stack: Stack, prefix: str, tmp_path: Path) -> None:
    """With its local state gone, a worker still knows what it has seen and where it stopped."""
    bench = Bench(stack, prefix, tmp_path)
    with running(bench, "dedupe"):
        bench.accept(track(n, user_id=f"u{n}") for n in range(500))
        eventually(lambda: len(bench.read("segment.unique")) == 500)
    shutil.rmtree(tmp_path / "state")

    with running(bench, "dedupe"):
        bench.accept(track(n, user_id=f"u{n}") for n in range(500))
        eventually(lambda: len(bench.read("outcomes")) == 500)

    assert 500 == len(bench.read("segment.unique"))


def test_two_workers_share_the_partitions_and_a_third_takes_over(
    stack: Stack, prefix: str, tmp_path: Path
) -> None:
    """Scaling out and in while records flow doubles nothing and loses nothing."""
    bench = Bench(stack, prefix, tmp_path)
    with running(bench, "dedupe"):
        bench.accept(track(n, user_id=f"u{n}") for n in range(5_000))
        with running(bench, "dedupe"):
            bench.accept(track(n, user_id=f"u{n}") for n in range(5_000, 10_000))
            shared = re.compile(rb"partitions='\[\d, \d\]'")  # which two depends on who came when
            eventually(lambda: shared.search((tmp_path / "dedupe.log").read_bytes()))
        bench.accept(track(n, user_id=f"u{n}") for n in range(10_000, 15_000))
        eventually(lambda: bench.reached("segment.unique", 15_000))

    origins = [
        (row["origin"]["partition"], row["origin"]["offset"])
        for row in bench.decoded("segment.unique", "unique")
    ]
    assert 15_000 == len(origins) == len(set(origins))


def test_backfill_passes_by_its_twins_and_never_before_live(
    stack: Stack, prefix: str, tmp_path: Path
) -> None:
    """What enters by the twin goes on by the twins; with live waiting, one small batch a second."""
    bench = Bench(stack, prefix, tmp_path)
    bench.accept(
        (track(n, user_id=f"u{n}") for n in range(100_000, 101_000)), topic="segment.events.backfill"
    )
    bench.accept(track(n, user_id=f"u{n}") for n in range(3_000))
    with running(bench, "dedupe", "identify"):
        eventually(lambda: len(bench.read("profile.events")) == 3_000)
        eventually(lambda: len(bench.read("profile.events.backfill")) == 1_000)

    lines = {row["origin"]["line"] for row in bench.decoded("profile.events.backfill", "profile_event")}
    assert lines == {"events.backfill"}


def test_a_zombie_writes_nothing(stack: Stack, prefix: str, tmp_path: Path) -> None:
    """A worker stopped through a takeover and woken again is fenced: its batch is not written twice."""
    bench = Bench(stack, prefix, tmp_path)
    zombie = bench.worker("dedupe")
    try:
        bench.accept(track(n, user_id=f"u{n}") for n in range(2_000))
        eventually(lambda: (tmp_path / "dedupe.log").read_text().count("slot_open") == 4)
        eventually(lambda: len(bench.read("segment.unique")) > 0)
        zombie.send_signal(signal.SIGSTOP)
        bench.accept(track(n, user_id=f"u{n}") for n in range(2_000, 4_000))
        with running(bench, "dedupe"):
            eventually(lambda: len(bench.read("segment.unique")) == 4_000, 90)
            zombie.send_signal(signal.SIGCONT)
            bench.accept(track(n, user_id=f"u{n}") for n in range(4_000, 6_000))
            eventually(lambda: bench.reached("segment.unique", 6_000), 90)
    finally:
        zombie.kill()
        zombie.wait()

    offsets = [
        (row["origin"]["partition"], row["origin"]["offset"])
        for row in bench.decoded("segment.unique", "unique")
    ]
    assert len(offsets) == len(set(offsets)) == 6_000


def test_records_deleted_before_they_were_read_end_the_stage(
    stack: Stack, prefix: str, tmp_path: Path
) -> None:
    """A few are as bad as many: the process ends, and what starts in its place says how many are missing.

    Told to, it goes on without them.
    """
    bench = Bench(stack, prefix, tmp_path)
    worker = bench.worker("dedupe")
    try:
        bench.accept(track(n, user_id="u") for n in range(10))
        eventually(lambda: len(bench.read("segment.unique")) == 10)
        worker.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        eventually(lambda: time.monotonic() > stopped + 1)  # no fetch waits at the broker any more
        bench.accept(track(n, user_id="u") for n in range(10, 500))
        (place,) = {(m.topic() or "", m.partition() or 0) for m in bench.read("segment.events")}
        admin = AdminClient(bench.config.kafka.client())
        for deleted in admin.delete_records([TopicPartition(*place, 490)]).values():
            deleted.result(10)
        worker.send_signal(signal.SIGCONT)
        assert worker.wait(30) == STANDS
        worker = bench.worker("dedupe")
        assert worker.wait(30) == STANDS
        assert len(bench.read("segment.unique")) == 10
        worker = bench.worker("dedupe", "--skip-deleted")
        eventually(lambda: len(bench.read("segment.unique")) == 20)
    finally:
        worker.kill()
        worker.wait()

    log = (tmp_path / "dedupe.log").read_text()
    assert "StateMismatch" in log
    assert "480 records were deleted unread" in log
    assert f"deleted_skipped topic={place[0]} partition={place[1]} first=10 end=490" in log
