"""Identifiers as the line compares them: normal addresses, E.164 numbers, nothing that stands for nobody."""

import re
from functools import lru_cache
from typing import Final

import phonenumbers
from email_validator import EmailNotValidError, validate_email

ORDINARY_EMAIL: Final = re.compile(
    r"[a-z0-9_%+-]+(?:\.[a-z0-9_%+-]+)*@(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,24}"
)
"""What needs no parser: it is valid, and already in its normal form. Others take the validator's 30 µs."""
MAX_EMAIL: Final = 254
MAX_LOCAL: Final = 64
E164: Final = re.compile(r"\+[1-9]\d{6,14}")
ZERO_UUID: Final = "00000000-0000-0000-0000-000000000000"
NOBODY: Final = frozenset(
    "null undefined none nil nan unknown anonymous n/a na 0 - false true test@test.com test@example.com "
    f"noreply@noreply.com {ZERO_UUID} {ZERO_UUID.replace('-', '')}".split()
) | {"", "[object object]"}
"""Values that sources send for want of one (lower case)."""


def somebody(value: str, blocked: frozenset[str] = frozenset()) -> str | None:
    """The identifier without white space around it, or None where it stands for nobody."""
    if not value:
        return None
    trimmed = value.strip()
    folded = trimmed.lower()
    return None if folded in NOBODY or folded in blocked else trimmed


@lru_cache(maxsize=65_536)
def normal_email(value: str) -> str | None:
    """The address in its normal form (lower case, IDN as Unicode), or None where it is none.

    Deliverability is Klaviyo's to say; syntax is RFC 5321's by email-validator.
    """
    trimmed = value.strip().lower()
    local = trimmed.partition("@")[0]
    if len(trimmed) <= MAX_EMAIL and len(local) <= MAX_LOCAL and ORDINARY_EMAIL.fullmatch(trimmed):
        return trimmed
    try:
        return validate_email(trimmed, check_deliverability=False, test_environment=True).normalized.lower()
    except EmailNotValidError:
        return None


@lru_cache(maxsize=65_536)
def normal_phone(value: str, country: str | None) -> str | None:
    """The number in E.164, or None where it is none.

    Args:
        value: as sent, e.g. ``(415) 555-2671``, ``0031 20 1234567`` or ``+31201234567``.
        country: ISO 3166 alpha-2 for national numbers.
    """
    trimmed = value.strip()
    if trimmed.startswith("00"):
        trimmed = "+" + trimmed[2:]
    try:
        number = phonenumbers.parse(trimmed, country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
