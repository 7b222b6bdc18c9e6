"""Klaviyo, Segment, an account or the registry away: what can go on does, the rest waits, nothing is lost."""

import time
from collections.abc import Iterator

import pytest

from streams.local.stack import Stack
from tests.line import eventually
from tests.whole.conftest import Start, shared
from tests.whole.messages import traffic
from tests.whole.running import PIPELINE, Whole

pytestmark = pytest.mark.stack

TWO_ACCOUNTS = PIPELINE.replace(
    "sources:",
    """  beta:
    klaviyo: {api_key: pk_beta, webhook_secret: webhook-secret-beta}
sources:""",
).replace("accounts: [acme]", "accounts: [acme, beta]")


@pytest.fixture(scope="module")
def line(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """One line for what it lives through without a loss."""
    with shared(stack, tmp_path_factory.mktemp("outages")) as made:
        yield made


def test_while_klaviyo_is_down_the_lag_grows_and_afterwards_all_arrives_in_order(line: Whole) -> None:
    earlier = line.idle()["accepted"]
    first = line.send(traffic(500, seed=1))
    line.idle()
    before = len(line.events())
    fault = line.fault({"reset": "before"}, path="/api/*")

    counts = line.send(traffic(1_500, seed=2))
    eventually(lambda: line.lag("acme/events") > 100)
    assert line.audit(0)["in_flight"] > 100
    assert len(line.events()) == before
    line.heal(fault)

    report = line.drained()
    assert report["accepted"] - earlier == first.accepted + counts.accepted
    assert [each["reply"] for each in line.dead_letters() if each["reply"]] == []
    line.every_operation_arrived()
    line.order_was_kept()


def test_calls_taken_without_an_answer_are_repeated_and_recorded_once(line: Whole) -> None:
    """Even where a bulk call is refused for ids that Klaviyo has by an earlier one."""
    earlier = line.idle()["delivered"]
    line.ask("klaviyo", "/sim/config", {"unique_id_mode": "global"}, method="PUT")
    fault = line.fault({"reset": "after"}, rate=0.4, path="/api/*")

    line.send(traffic(2_000, seed=3))
    eventually(lambda: any(event["n_received"] > 1 for event in line.events()))
    line.heal(fault)

    report = line.drained()
    assert report["delivered"] - earlier > 100
    assert [each["reply"] for each in line.dead_letters() if each["reply"]] == []
    line.every_operation_arrived()
    line.order_was_kept()


def test_a_401_of_segments_stops_the_way_back_only_and_healed_all_arrives(line: Whole) -> None:
    line.send(traffic(300, seed=4))
    line.idle()
    before = len(line.forwarded())
    asked = {"match": {"path": "/v1/batch"}, "do": {"status": 401}}
    fault = line.ask("segment", "/sim/faults", asked)["id"]
    engaged = line.engage(5)
    eventually(lambda: line.lanes()["acme/segment"]["state"] == "stopped")
    told = line.lanes()["acme/segment"]
    assert "401" in told["reason"]
    line.kill("feedback")
    lanes = line.lanes()
    assert {row["state"] for name, row in lanes.items() if name != "acme/segment"} == {"live"}
    assert lanes["acme/segment"] | {"lag": 0} == told | {"lag": 0}
    line.ask("segment", f"/sim/faults/{fault}", method="DELETE")

    eventually(lambda: len(line.forwarded()) == before + engaged)
    line.drained()
    assert line.lanes()["acme/segment"]["state"] == "live"


def test_a_401_stops_its_account_only_and_healed_all_arrives(start: Start) -> None:
    line = start(TWO_ACCOUNTS)
    began = time.monotonic()
    fault = line.fault({"status": 401}, account="acme")

    line.send(traffic(1_000))
    eventually(lambda: line.of_account("beta") and line.lag("beta/events") == 0)
    beta = {(each["account"], each["unique_id"]) for each in line.events()}
    eventually(lambda: line.lanes()["acme/events"]["state"] == "stopped")
    lanes = line.lanes()
    assert {account for account, _ in beta} == {"beta"}
    assert lanes["beta/profiles"]["lag"] == 0
    assert lanes["acme/events"]["lag"] > 50
    assert lanes["beta/events"]["state"] == "live"
    assert "401" in lanes["acme/events"]["reason"]
    tries = [each for each in line.requests() if each["account"] == "acme"]
    # a few at first, then one of each of two lanes every two seconds
    assert 0 < len(tries) < 40 + (time.monotonic() - began)
    assert {each["status"] for each in tries} == {401}
    assert line.audit(0)["in_flight"] > 50
    line.heal(fault)

    line.drained()
    assert {lane["state"] for lane in line.lanes().values()} == {"live"}
    assert {each["account"] for each in line.events()} == {"acme", "beta"}
    line.every_operation_arrived()
    line.order_was_kept()
