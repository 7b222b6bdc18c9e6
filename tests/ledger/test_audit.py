"""The audit against a real broker; what stages write is written here, by hand and in transactions."""

import json
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from streams.config import Config
from streams.engine.changelog import POSITION_KEY
from streams.engine.control import now_ms
from streams.engine.topics import full
from streams.ledger.audit import Auditor, audit
from streams.ledger.dead_letters import listing, show
from streams.ledger.letters import Filters
from streams.local.stack import Stack
from tests.ledger.said import origin, refuses, says
from tests.line import Bench

pytestmark = pytest.mark.stack


class Line:
    """Writes what stages would, all to partition 0."""

    def __init__(self, bench: Bench) -> None:
        self.config: Config = bench.config
        self.registry = bench.registry
        self.registry.ready_sync(
            "segment.events", "segment.unique", "profile.events", "klaviyo.events", "klaviyo.engagement",
            "outcomes", "dead.letters",
        )  # fmt: skip
        self.client = bench.config.kafka.client()

    def accept(self, count: int) -> None:
        producer = Producer(self.client)
        envelope: dict[str, Any] = {
            "uid": bytes(16), "space": "acme", "accepted_at": 1_000, "type": "track", "time": 1,
            "source": "web", "trace_id": "t", "body": b"{}",
        }  # fmt: skip
        for n in range(count):
            value = self.registry.codec("envelope").encode(envelope | {"event_id": f"e{n}"})
            producer.produce(full(self.config.prefix, "segment.events"), value, partition=0)
        assert producer.flush(30) == 0

    def transaction(self, *records: tuple[str, bytes | None, bytes], commit: bool = True) -> None:
        producer = Producer(self.client | {"transactional.id": full(self.config.prefix, "hand")})
        producer.init_transactions(30)
        producer.begin_transaction()
        for topic, key, value in records:
            producer.produce(full(self.config.prefix, topic), value, key, partition=0)
        producer.flush(30)
        if commit:
            producer.commit_transaction(30)
        else:
            producer.abort_transaction(30)

    def position(self, stage: str, **topics: Any) -> tuple[str, bytes, bytes]:
        value = {"positions": {name.replace("_", "."): offset for name, offset in topics.items()}}
        return f"changelog.{stage}", POSITION_KEY, json.dumps(value).encode()

    def unique(self, offset: int) -> tuple[str, None, bytes]:
        value = {"origin": origin(offset), "event": b""}
        return "segment.unique", None, self.registry.codec("unique").encode(value)

    def profile_event(self, offset: int) -> tuple[str, None, bytes]:
        value = {"origin": origin(offset), "profile": {"id": "p"}, "event": b""}
        return "profile.events", None, self.registry.codec("profile_event").encode(value)

    def operation(self, offset: int, op_id: str) -> tuple[str, None, bytes]:
        value = {
            "op_id": op_id, "account": "acme", "kind": "event", "origin": origin(offset), "event_id": "e",
            "profile": {"id": "p"}, "time": 1, "payload": b"{}",
        }  # fmt: skip
        return "klaviyo.events", None, self.registry.codec("operation").encode(value)

    def outcome(self, *args: Any, **more: Any) -> tuple[str, None, bytes]:
        return "outcomes", None, self.registry.codec("outcome").encode(says(*args, **more))

    def dead_letter(self, *args: Any, **more: Any) -> tuple[str, None, bytes]:
        return "dead.letters", None, self.registry.codec("dead_letter").encode(refuses(*args, **more))


@pytest.fixture
def line(stack: Stack, prefix: str, tmp_path: Path) -> Line:
    return Line(Bench(stack, prefix, tmp_path))


def counts(report: dict[str, Any]) -> dict[str, int]:
    return {name: value for name, value in list(report.items())[1:12] if value}


def test_a_record_is_in_flight_at_each_stage_and_then_delivered(line: Line) -> None:
    line.accept(1)
    auditor = Auditor(line.config)

    def now() -> dict[str, int]:
        return counts(auditor.look().document())

    assert now() == {"accepted": 1, "in_flight": 1}
    line.transaction(line.unique(0), line.position("dedupe", segment_events=1))
    assert now() == {"accepted": 1, "in_flight": 1}
    line.transaction(line.profile_event(0), line.position("identify", segment_unique=1))
    assert now() == {"accepted": 1, "in_flight": 1}
    routed = line.outcome("route", 0, "routed", deliveries=["d"])
    line.transaction(line.operation(0, "d"), routed, line.position("route", profile_events=1))
    assert now() == {"accepted": 1, "in_flight": 1}
    delivered = line.outcome("deliver", 0, "delivered", "accepted", delivery_id="d")
    done = {"next": 0, "done": [[0, 1]]}
    line.transaction(delivered, line.position("deliver", klaviyo_events=done))
    assert now() == {"accepted": 1, "delivered": 1}
    assert counts(audit(line.config).document()) == {"accepted": 1, "delivered": 1}


def test_whatever_vanishes_is_named_with_the_last_stage_that_had_it(line: Line) -> None:
    line.accept(4)
    line.transaction(
        line.unique(1),
        line.unique(2),
        line.profile_event(2),
        line.operation(3, "d"),
        line.outcome("route", 3, "routed", deliveries=["d"]),
        line.position("dedupe", segment_events=4),
        line.position("identify", segment_unique=2),
        line.position("route", profile_events=1),
        line.position("deliver", klaviyo_events={"next": 0, "done": [[0, 1]]}),
    )
    report = audit(line.config).document()
    assert counts(report) == {"accepted": 4, "unaccounted": 4}
    found = {(each["event_id"], each["space"], each["last_stage"]) for each in report["missing"]}
    assert found == {
        ("e0", "acme", "gateway"),
        ("e1", "acme", "dedupe"),
        ("e2", "acme", "identify"),
        ("e3", "acme", "route"),
    }


def test_what_an_aborted_transaction_says_is_not_heard(line: Line) -> None:
    line.accept(1)
    said = line.outcome("dedupe", 0, "duplicate")
    line.transaction(said, line.position("dedupe", segment_events=1), commit=False)
    assert counts(audit(line.config).document()) == {"accepted": 1, "in_flight": 1}


def test_dead_letters_account_are_grouped_by_reason_and_listed(line: Line) -> None:
    line.accept(2)
    line.transaction(
        line.dead_letter("gateway", -1, partition=-1),
        line.dead_letter("route", 0),
        line.dead_letter("deliver", 1, account="acme", lane="events", delivery_id="d", at=now_ms()),
        line.outcome("route", 1, "routed", deliveries=["d"]),
        line.position("dedupe", segment_events=2),
        line.position("deliver", klaviyo_events=0),
    )
    report = audit(line.config).document()
    assert counts(report) == {"accepted": 3, "dead_lettered": 3}
    (group,) = report["dead_letters"]
    assert (group["reason"], group["count"], group["open"]) == ("rejected", 3, 3)
    listed = list(listing(line.config, Filters()))
    assert group["sample"] == listed[0]
    (late,) = listing(line.config, Filters(lane="events", since=now_ms() - 60_000))
    assert show(line.config, late["id"]) == late
    assert show(line.config, "0-99") is None
    assert show(line.config, "99-0") is None


def test_the_wait_ends_when_nothing_is_in_flight_or_time_is_over(line: Line) -> None:
    line.accept(1)
    assert audit(line.config, wait_s=0.5).in_flight == 1
    line.transaction(line.outcome("dedupe", 0, "duplicate"), line.position("dedupe", segment_events=1))
    assert audit(line.config, wait_s=60).in_flight == 0
