from collections import Counter

from streams.ledger.book import State
from streams.ledger.report import Report
from streams.ledger.summary import summary
from streams.ledger.tally import Tally

TALLY = Tally(
    accepted=Counter(events=6, engagement=3),
    states={
        "events": Counter({State.DELIVERED: 3, State.FILTERED: 1, State.IN_FLIGHT: 1, State.UNKNOWN: 1}),
        "engagement": Counter({State.UNCHANGED: 1, State.DELIVERED: 1, State.HELD: 1}),
    },
    deliveries=Counter(accepted=2, confirmed=1),
)
MISSING = [{"space": "acme", "partition": 1, "offset": 5, "event_id": "e5", "last_stage": "dedupe"}]


def test_the_json_form_is_the_promised_one_and_its_counts_add_up() -> None:
    found = Report(TALLY, latencies=[3.0, 1.0, 2.0], missing=MISSING).document()
    assert list(found) == [
        "version", "accepted", "delivered", "unchanged", "duplicate", "filtered", "held", "expired",
        "refused", "dead_lettered",
        "in_flight", "unaccounted", "deliveries", "engagement", "latency_ms", "budget",
        "http_429", "dead_letters", "seconds", "missing",
    ]  # fmt: skip
    assert found["accepted"] == sum(list(found.values())[2:12])
    back = found["engagement"]
    assert back["in"] == sum(back.values()) - back["in"]
    assert back["forwarded"] == 2
    assert found["deliveries"] == {"accepted": 2, "confirmed": 1, "unconfirmed": 0}
    assert found["latency_ms"] == {"p50": 2, "p99": 3, "n": 3}


def test_the_summary_names_counts_and_what_is_missing() -> None:
    text = summary(Report(TALLY, missing=MISSING * 30).document())
    assert "accepted 6: 3 delivered, 1 filtered, 1 in flight, 1 unaccounted" in text
    assert "missing: e5 of space acme, 1-5, last seen at dedupe" in text
    assert "and 10 more" in text
