"""Engagement without webhooks, and with both: Segment has each event once, and the sums are right."""

import pytest

from tests.line import eventually
from tests.whole.conftest import Start
from tests.whole.messages import message
from tests.whole.running import Whole

pytestmark = pytest.mark.stack

PIPELINE = """
accounts:
  polled:
    klaviyo: {api_key: pk_polled, poll_minutes: 0.01}
    segment: {write_key: segment-polled}
  both:
    klaviyo: {api_key: pk_both, poll_minutes: 0.01, webhook_secret: webhook-secret-both}
    segment: {write_key: segment-both}
sources:
  web: {accounts: [polled, both], write_key: web, webhook_secret: web-secret}
rules:
  - {when: 'type = "identify"', do: profile}
deliver: {probe_s: 2}
"""
PEOPLE = 3


def engage(line: Whole, times: int) -> None:
    for account in ("polled", "both"):
        for n in range(PEOPLE):
            told = {"account": account, "email": f"u{n}@shop.io", "metric": "Opened Email", "n": times}
            line.ask("klaviyo", "/sim/engage", told)


def test_polled_engagement_reaches_segment_once_through_kills_and_beside_webhooks(start: Start) -> None:
    line = start(PIPELINE)
    people = [
        message("identify", n, userId=f"u{n}", traits={"email": f"u{n}@shop.io"}) for n in range(PEOPLE)
    ]
    line.send(people)
    line.idle()

    sent = 0
    for times in (2, 3, 1):
        engage(line, times)
        line.kill("deliver")
        sent += times * PEOPLE
    # the account that has both is told of each event twice
    eventually(lambda: line.audit(0)["engagement"]["in"] == 3 * sent)
    report = line.drained()

    assert report["engagement"] == {
        "in": 3 * sent, "forwarded": 2 * sent, "duplicate": sent, "filtered": 0, "dead_lettered": 0,
        "in_flight": 0, "unaccounted": 0,
    }  # fmt: skip
    opened = [event for event in line.forwarded() if event["event"] == "Email Opened"]
    assert len(opened) == 2 * sent
    assert {event["userId"] for event in opened} == {f"u{n}" for n in range(PEOPLE)}
    assert [call["status"] for call in line.requests() if call["status"] == 429] == []
    assert not line.dead_letters()
