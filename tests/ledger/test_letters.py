import json
from base64 import b64decode
from datetime import UTC, datetime

import pytest

from streams.ledger.letters import Filters, document, place_of, readable, since_ms
from tests.ledger.said import refuses

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
FIELDS = [
    "id", "at", "stage", "account", "lane", "reason", "detail", "origin", "event_id", "delivery_id",
    "attempts", "reply", "trace_id", "bytes", "status", "run", "why",
]  # fmt: skip


def test_a_dead_letter_is_shown_with_all_documented_fields() -> None:
    shown = document(3, 42, refuses("deliver", 7, account="acme", lane="events", delivery_id="d", attempts=2))
    assert list(shown) == FIELDS
    assert shown["id"] == "3-42"
    assert b64decode(shown["bytes"]) == b"{}"
    assert {"space", "partition", "offset"} <= shown["origin"].keys()
    assert "reason: rejected" in readable(shown)
    assert f"origin: {json.dumps(shown['origin'])}" in readable(shown)


@pytest.mark.parametrize(
    ("filters", "passes"),
    [
        (Filters(), True),
        (Filters(reason="rejected", lane="events", account="acme", stage="deliver", event="e7"), True),
        (Filters(since=2_000), True),
        (Filters(since=2_001), False),
        (Filters(until=2_001), True),
        (Filters(until=2_000), False),
        (Filters(since=1_000, until=2_001), True),
        (Filters(lane="lists"), False),
        (Filters(account="other"), False),
        (Filters(stage="route"), False),
        (Filters(event="e8"), False),
        (Filters(reason="mapping"), False),
    ],
)
def test_filters_pass_what_they_name(filters: Filters, passes: bool) -> None:
    assert filters.match(refuses("deliver", 7, account="acme", lane="events")) is passes


def test_a_reason_matches_with_and_without_its_detail() -> None:
    letter = refuses("route", 1) | {"reason": "mapping:email"}
    assert Filters(reason="mapping").match(letter)
    assert Filters(reason="mapping:email").match(letter)


def test_since_is_an_age_or_a_time_utc_unless_it_says() -> None:
    assert since_ms("2h", NOW) == since_ms("2026-05-01T10:00", NOW) == since_ms("2026-05-01T12:00+02:00", NOW)
    with pytest.raises(ValueError, match="neither ISO 8601 nor an age"):
        since_ms("yesterday", NOW)


def test_a_letter_is_shown_without_what_would_drive_the_terminal() -> None:
    letter = refuses("gateway", 1) | {"bytes": b'{"a":\x1b[2J\xff\n\xc3\xbc', "detail": "\x07"}
    text = readable(document(0, 1, letter))
    assert text.endswith('{"a":\\x1b[2J\\xff\nü')
    assert "detail: \\x07" in text


def test_an_id_names_partition_and_offset() -> None:
    assert place_of("3-42") == (3, 42)
    with pytest.raises(ValueError, match="PARTITION-OFFSET"):
        place_of("42")
