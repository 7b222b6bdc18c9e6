"""Every form of time that Segment's traffic has is read to the millisecond."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.segment.times import epoch_ms

AT = 1_767_225_600_000
"""2026-01-01T00:00:00Z."""


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2026-01-01T00:00:00Z", AT),
        ("2026-01-01T00:00:00.1Z", AT + 100),
        ("2026-01-01T00:00:00.123Z", AT + 123),
        ("2026-01-01T00:00:00.123456Z", AT + 123),
        ("2026-01-01T00:00:00.1234567890Z", AT + 123),
        ("2026-01-01T00:00:00,5Z", AT + 500),
        ("2026-01-01 00:00:00+00:00", AT),
        ("2026-01-01T01:00:00+0100", AT),
        ("2025-12-31T23:00:00-01", AT),
        ("20260101T000000Z", AT),
        ("2026-01-01", AT),
        ("2026-01", AT),
        ("2026-W01-4", AT),
        ("2026-001", AT),
        ("2026001T010000+0100", AT),
        ("2025-365T24:00:00Z", AT),
        ("2026-01-01T00:00", AT),
        ("2025-12-31T24:00:00Z", AT),
        ("2025-12-31T23:59:60Z", AT),
        (" 2026-01-01t00:00:00z ", AT),
        ("1767225600", AT),
        ("1767225600000", AT),
        ("1767225600.5", AT + 500),
    ],
)
def test_text_is_read_in_any_form(text: str, ms: int) -> None:
    assert epoch_ms(text) == ms


@pytest.mark.parametrize(
    ("number", "ms"),
    [
        (1_767_225_600, AT),
        (1_767_225_600.25, AT + 250),
        (AT, AT),
        (AT * 1000, AT),
        (AT * 1_000_000, AT),
        (0, 0),
    ],
)
def test_numbers_are_epochs_by_their_size(number: float, ms: int) -> None:
    assert epoch_ms(number) == ms


@pytest.mark.parametrize(
    "value",
    ["", "yesterday", "2026-13-01", "2026-366", "2026-000", "0000-001", "2026-02-30T00:00Z",
     "2026-01-01T25:00:00Z", "12", None, True, [], {}, "x" * 1000, float("nan"),
     float("inf"), 1e30, "9999-12-31T24:00:60-2359", "0001-01-01T00:00:00+01:00"],
)  # fmt: skip
def test_what_is_no_time_is_none(value: object) -> None:
    assert epoch_ms(value) is None


@given(st.one_of(st.text(max_size=40), st.floats(), st.integers(), st.none(), st.booleans()))
def test_nothing_raises(value: object) -> None:
    assert epoch_ms(value) is None or isinstance(epoch_ms(value), int)
