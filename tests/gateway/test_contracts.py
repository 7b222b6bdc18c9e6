"""Contracts at the gateway: held while the message is read anyway, one broken event costs only itself."""

from dataclasses import replace
from pathlib import Path

import orjson

from streams.config import load
from streams.gateway import bodies, records
from streams.gateway.messages import Arrival
from streams.gateway.metrics import Metrics
from streams.gateway.readmit import readmit
from streams.ledger.reentry import Line, Reentry
from streams.segment.contracts import Contracts
from streams.segment.tracking_plan import TrackingPlan
from tests.gateway.conftest import ENCODERS, own
from tests.ledger.said import origin
from tests.ledger.test_reentry import SLOTS
from tests.line import PIPELINE

SCHEMA = {"type": "record", "event": "Signed Up", "fields": [{"name": "plan", "type": "string"}]}
GOOD = {"type": "track", "event": "Signed Up", "userId": "u", "messageId": "m1", "properties": {"plan": "x"}}
BAD = {"type": "track", "event": "Signed Up", "userId": "u", "messageId": "m2", "properties": {"plan": 1}}


def plan(level: bool = True) -> TrackingPlan:
    held = {"Signed Up": True if level else "warn"}
    return TrackingPlan(Contracts([SCHEMA]), held, "allow")  # type: ignore[arg-type]


def arrived(held: TrackingPlan) -> records.Outgoing:
    arrival = Arrival("web", ("acme", "beta"), 1, "t", 32_768, held)
    return records.of_segment(bodies.many({"batch": [GOOD, BAD]}, sound=True), arrival, ENCODERS, 4)


def test_a_broken_event_is_a_dead_letter_of_each_space_and_the_rest_goes_on() -> None:
    out = arrived(plan())

    codec = own("dead_letter")
    codec._writers[7] = codec.schema
    letters = [codec.decode(record["value"]) for record in out.topics["dead.letters"]]
    assert [(letter["origin"]["space"], letter["reason"], letter["event_id"]) for letter in letters] == [
        ("acme", "contract", "m2"),
        ("beta", "contract", "m2"),
    ]
    assert letters[0]["detail"] == "properties.plan must be string, this is a number '1'"
    assert orjson.loads(letters[0]["bytes"]) == BAD
    assert (out.events, [str(reason) for reason in out.refused]) == (2, ["contract"])


def test_a_warning_is_counted_where_metrics_show_it() -> None:
    held = plan(level=False)
    out = arrived(held)

    assert (out.events, out.refused) == (4, [])
    shown = Metrics(held.warned).text(0)
    assert 'streams_gateway_contract_warnings_total{event="Signed Up"} 1' in shown


def test_what_is_redriven_is_held_to_the_contracts_of_now(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text(PIPELINE)
    letter = {"stage": "gateway", "reason": "contract", "bytes": orjson.dumps(BAD), "trace_id": "t"}
    letter |= {"origin": origin(7), "account": None}

    line = Line(load(file, {}), SLOTS, lambda _: own("envelope"), plan())

    assert "still contract: properties.plan must be string" in str(readmit(letter, line))
    assert isinstance(readmit(letter, replace(line, plan=None)), Reentry)
