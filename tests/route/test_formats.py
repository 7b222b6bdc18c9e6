"""Values in the form that Klaviyo wants."""

from typing import Any

import pytest
from hypothesis import given

from streams.config.paths import MISSING
from streams.route.formats import CURRENCIES, FORMATS, date, number, phone
from tests.config.test_fql import JSON


@pytest.mark.parametrize(
    ("given_value", "expected"),
    [
        (1, 1),
        (1.5, 1.5),
        (" 19.99 ", 19.99),
        ("5", 5),
        ("-.5", -0.5),
        ("1e3", 1000),
        ("1,234.50", MISSING),
        ("$5", MISSING),
        ("nan", MISSING),
        (float("inf"), MISSING),
        (True, MISSING),
        ("", MISSING),
        (None, MISSING),
    ],
)
def test_number(given_value: Any, expected: Any) -> None:
    assert number(given_value) == expected


@pytest.mark.parametrize(
    ("given_value", "expected"),
    [
        ("2026-01-01T00:00:00.1234567891Z", "2026-01-01T00:00:00Z"),
        ("2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00Z"),
        ("2026-01-01 00:00:00", "2026-01-01T00:00:00Z"),
        ("2026-01-01", "2026-01-01"),
        (1767225600, "2026-01-01T00:00:00Z"),
        (1767225600000, "2026-01-01T00:00:00Z"),
        ("1767225600", "2026-01-01T00:00:00Z"),
        ("20260131", "2026-01-31"),
        ("20260131T120000Z", "2026-01-31T12:00:00Z"),
        ("2026", MISSING),
        ("86400", MISSING),
        ("yesterday", MISSING),
        ("2026-13-01", MISSING),
        (True, MISSING),
        (10**40, MISSING),
    ],
)
def test_date(given_value: Any, expected: Any) -> None:
    assert date(given_value) == expected


@pytest.mark.parametrize(
    ("value", "country", "expected"),
    [
        ("+1 (415) 555-2671", None, "+14155552671"),
        ("0031 20 624 1111", None, "+31206241111"),
        ("020 624 1111", "nl", "+31206241111"),
        ("020 624 1111", None, MISSING),
        ("020 624 1111", "Nowhere", MISSING),
        (31206241111, None, "+31206241111"),
        ("n/a", "NL", MISSING),
        ("1" * 100, "NL", MISSING),
    ],
)
def test_phone(value: Any, country: Any, expected: Any) -> None:
    assert phone(value, country) == expected


def test_currencies_are_iso_4217() -> None:
    assert {"EUR", "USD", "JPY", "GBP"} <= CURRENCIES
    assert FORMATS["currency"]("usd") == "USD"
    assert FORMATS["currency"]("DOL") is MISSING


@given(JSON)
def test_no_format_raises(value: Any) -> None:
    for convert in FORMATS.values():
        convert(value)
