"""Nobody is subscribed again by anything older than what they told Klaviyo themselves."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from streams.local.traffic.message import Message
from tests.line import eventually
from tests.whole.conftest import Start
from tests.whole.messages import message
from tests.whole.running import PIPELINE, Whole

pytestmark = pytest.mark.stack

RULE = """  - {when: 'event = "Newsletter Joined"', do: subscribe, custom_source: footer}"""
PEOPLE = 3


def joined(who: int, number: int, at: float) -> Message:
    when = datetime.fromtimestamp(at, UTC).isoformat()
    fields: dict[str, Any] = {"userId": f"u{who}", "event": "Newsletter Joined", "timestamp": when}
    return message("track", number, **fields, properties={}, context={"traits": {"email": f"u{who}@shop.io"}})


def mailed(line: Whole) -> dict[str, str]:
    rows = line.ask("klaviyo", "/sim/consent")["data"]
    return {row["email"]: row["consent"] for row in rows if row["channel"] == "email"}


def test_a_farewell_at_klaviyo_outlives_stale_and_replayed_subscriptions(start: Start) -> None:
    """Its webhook alone blocks them: Klaviyo is neither asked nor told again."""
    line = start(PIPELINE.replace("rules:\n", f"rules:\n{RULE}\n"))
    began = time.time()
    first = [joined(n, n, began) for n in range(PEOPLE)]
    line.send(
        [message("identify", n, userId=f"u{n}", traits={"email": f"u{n}@shop.io"}) for n in range(PEOPLE)]
    )
    line.send(first)
    line.idle()
    assert set(mailed(line).values()) == {"SUBSCRIBED"}

    told = {"account": "acme", "email": "u1@shop.io", "metric": "Unsubscribed from Email Marketing", "n": 1}
    line.ask("klaviyo", "/sim/engage", told)
    eventually(lambda: line.look()["engagement"]["in"] == 1)
    line.idle()
    calls = len(line.requests())
    line.send([*first, *(joined(n, 100 + n, began - 60) for n in range(PEOPLE))])
    report = line.drained()

    assert mailed(line) == {
        "u0@shop.io": "SUBSCRIBED",
        "u1@shop.io": "UNSUBSCRIBED",
        "u2@shop.io": "SUBSCRIBED",
    }
    assert report["refused"] == 1
    assert report["duplicate"] == PEOPLE
    assert report["engagement"] == {
        "in": 1, "forwarded": 1, "duplicate": 0, "filtered": 0, "dead_lettered": 0, "in_flight": 0,
        "unaccounted": 0,
    }  # fmt: skip
    assert [call["path"] for call in line.requests()[calls:] if "subscription" in call["path"]] == []
    refused = [out for out in line.decoded("outcomes", "outcome") if out["outcome"] == "refused"]
    assert [(out["event_id"], out["stage"], out["reason"]) for out in refused] == [
        ("track-101", "deliver", "consent")
    ]
