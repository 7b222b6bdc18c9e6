"""What came in goes through the line once more by the rules as they are now, and nothing is sent twice."""

import json
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from streams.local.traffic.message import Message
from tests.line import eventually
from tests.whole.conftest import Start
from tests.whole.messages import message
from tests.whole.running import PIPELINE, Whole

pytestmark = pytest.mark.stack

PEOPLE = 10
VIEWS = 2_000
NARROW = PIPELINE.replace("""'type = "track"'""", """'event = "Order Completed"'""")
LATE = "identity: {late_hours: 0}\n"
"""So that whatever a replay brings is too old to start a flow."""


def replay(line: Whole, *words: str) -> dict[str, Any]:
    said = line.run("replay", *words, "--json")
    assert said.code == 0, said
    told: dict[str, Any] = json.loads(said.out)
    return told


def email(n: int) -> str:
    return f"person{n}@shop.io"


def identified(n: int) -> Message:
    return message("identify", n, userId=f"person{n}", traits={"email": email(n)})


def test_a_mended_rule_delivers_what_it_missed_behind_what_is_live_and_nothing_twice(start: Start) -> None:
    line = start(NARROW + LATE)
    line.send(identified(n) for n in range(PEOPLE))
    line.send(
        message("track", n, userId=f"person{n % PEOPLE}", event="Order Completed", properties={})
        for n in range(PEOPLE)
    )
    line.send(
        message("track", PEOPLE + n, userId=f"person{n % PEOPLE}", event="Product Viewed", properties={})
        for n in range(VIEWS)
    )
    report = line.drained(120)
    assert (report["delivered"], report["filtered"]) == (2 * PEOPLE, VIEWS)
    narrow = replay(line, "--since", "1h", "--dry-run")
    assert narrow["would"] == {"filtered:no_rule": VIEWS}

    line.file.write_text(PIPELINE + LATE)
    line.kill("route")
    dry = replay(line, "--since", "1h", "--outcome", "filtered:no_rule", "--dry-run")
    assert (dry["events"], dry["would"]) == ({"track Product Viewed": VIEWS}, {"acme/events": VIEWS})
    found = replay(line, "--since", "1h", "--outcome", "filtered:no_rule", "--yes")
    assert (found["sent"], found["stay"]) == (VIEWS, 0)

    began = time.monotonic()
    line.send([message("track", 99_999, userId="person0", event="Live", properties={})])
    eventually(lambda: any(event["metric"] == "Live" for event in line.events()))
    assert time.monotonic() - began < 15  # on a machine that does all else meanwhile
    report = line.drained(120)
    assert (report["delivered"], report["filtered"]) == (2 * PEOPLE + VIEWS + 1, 0)
    metrics = Counter(event["metric"] for event in line.events())
    assert metrics == {"Placed Order": PEOPLE, "Viewed Product": VIEWS, "Live": 1}

    late = {op["backfill"] for op in line.decoded("klaviyo.events.backfill", "operation")}
    live = {op["backfill"] for op in line.decoded("klaviyo.events", "operation")}
    assert (late, live) == ({True}, {False})

    # all of it once more: each delivery is known, and counts as what it was
    found = replay(line, "--all", "--outcome", "any", "--yes")
    assert found["sent"] == 2 * PEOPLE + VIEWS + 1
    again = line.drained(120)
    assert (again["delivered"], again["filtered"]) == (report["delivered"], 0)
    assert Counter(event["metric"] for event in line.events()) == metrics
    assert {letter["reason"] for letter in line.dead_letters()} == set()


STATE = (
    PIPELINE.replace("""  - {when: 'type = "track"', do: event}""", "")
    + """  - {when: 'event = "Consent Given"', do: subscribe, channels: [email]}
  - {when: 'event = "Consent Withdrawn"', do: unsubscribe, channels: [email]}
  - {when: 'event = "Joined"', do: list_add, list: VIP}
  - {when: 'event = "Left"', do: list_remove, list: VIP}
lists: {create: true}
"""
)


def test_a_replay_changes_nothing_that_is_newer(start: Start) -> None:
    line = start(STATE.replace("deliver: {probe_s: 2}\n", ""))
    minutes = iter(range(60, 0, -1))

    def said(kind: str, **fields: Any) -> Message:
        minute = next(minutes)
        at = (datetime.now(UTC) - timedelta(minutes=minute)).isoformat()
        return message(kind, minute, userId="ada", timestamp=at, **fields)

    def consent() -> str | None:
        rows = line.ask("klaviyo", "/sim/consent")["data"]
        return next((r["consent"] for r in rows if r["email"] == "ada@shop.io"), None)

    def members() -> set[str]:
        rows = line.ask("klaviyo", "/sim/lists")["data"]
        return {each for row in rows if row["name"] == "VIP" for each in row["emails"]}

    def person() -> dict[str, Any]:
        (found,) = line.profiles()
        properties: dict[str, Any] = found["properties"]
        return properties

    line.send([said("identify", traits={"email": "ada@shop.io", "plan": "free"})])
    line.send([said("track", event="Consent Given"), said("track", event="Joined")])
    line.idle()
    assert (consent(), members(), person()) == ("SUBSCRIBED", {"ada@shop.io"}, {"plan": "free"})
    line.send([said("identify", traits={"plan": "pro"})])
    line.send([said("track", event="Consent Withdrawn"), said("track", event="Left")])
    line.idle()
    newest = ("UNSUBSCRIBED", set(), {"plan": "pro"})
    assert (consent(), members(), person()) == newest

    # one by one, so that no newer word of the replay itself mends an older one
    for name in ("Consent Given", "Joined"):
        assert replay(line, "--all", "--outcome", "any", "--name", name, "--yes")["sent"] == 1
        line.idle()
        assert (consent(), members(), person()) == newest
    assert replay(line, "--event", "identify-60", "--outcome", "any", "--yes")["sent"] == 1
    line.idle()
    assert (consent(), members(), person()) == newest
    assert replay(line, "--all", "--outcome", "any", "--yes")["sent"] == 6
    assert line.drained()["accepted"] == 6
    assert (consent(), members(), person()) == newest
