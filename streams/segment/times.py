"""Event times: every form that Segment's libraries, servers and warehouses send, as epoch milliseconds."""

import re
from datetime import UTC, date, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LONGEST = 64
_NUMBER = re.compile(r"-?\d{9,19}(\.\d+)?")
_LOOSE = re.compile(
    r"(?P<date>\d{4}-\d\d)(?P<day>-\d\d)?"
    r"(?:[Tt ](?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,]\d+)?)?"
    r"\s*(?P<zone>[Zz]|[+-]\d\d:?\d\d|))?"
)
_ORDINAL = re.compile(r"(\d{4})-?(\d{3})(?=[Tt ]|$)")
"""Year and day of the year."""
_FIRST, _LAST = -62_135_596_800_000, 253_402_300_799_999
"""0001-01-01 and the end of 9999, what a date can say."""


def epoch_ms(value: object) -> int | None:
    """Read a time; None when there is none to read.

    Text is ISO 8601 in any form (1 to 10 fractional digits, cut to milliseconds; without a zone it is UTC) or
    an epoch number as text. Numbers are epoch seconds, milliseconds, microseconds or nanoseconds, by size.
    """
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return _number(value)


def _text(value: str) -> int | None:
    if not value or len(value) > _LONGEST:
        return None
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        text = value.strip()
        if _NUMBER.fullmatch(text):
            return _number(float(text) if "." in text else int(text))
        if (ordinal := _ORDINAL.match(text)) is not None:
            return _of_year(ordinal, text)
        return _loose(text)
    return _since_epoch(read)


def _of_year(found: re.Match[str], text: str) -> int | None:
    year, number = map(int, found.groups())
    try:
        day = date(year, 1, 1) + timedelta(days=number - 1)
    except (ValueError, OverflowError):
        return None
    return _text(day.isoformat() + text[found.end() :]) if day.year == year else None


def _since_epoch(read: datetime) -> int | None:
    """A zone may lead beyond what a date in UTC can say."""
    ms = ((read if read.tzinfo else read.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND
    return ms if _FIRST <= ms <= _LAST else None


def _loose(text: str) -> int | None:
    """Read what the strict reader refuses: 24:00, a leap second, a month, a small z, space around."""
    found = _LOOSE.fullmatch(text)
    if found is None:
        return None
    hour, minute, second = (int(found[part] or 0) for part in ("hour", "minute", "second"))
    if (hour, minute, second) > (24, 0, 0) or minute > 59 or second > 60:
        return None
    zone = (found["zone"] or "Z").upper()
    try:
        day = datetime.fromisoformat(f"{found['date']}{found['day'] or '-01'}T00:00:00{zone}")
        return _since_epoch(day + timedelta(hours=hour, minutes=minute, seconds=second))
    except (ValueError, OverflowError):
        return None


def _number(value: float) -> int | None:
    size = abs(value)
    if not size < 1e20:  # infinities and not-a-number too
        return None
    if size < 1e11:
        scaled = value * 1000
    elif size < 1e14:
        scaled = value
    elif size < 1e17:
        scaled = value / 1000
    else:
        scaled = value / 1_000_000
    ms = int(scaled)
    return ms if _FIRST <= ms <= _LAST else None
