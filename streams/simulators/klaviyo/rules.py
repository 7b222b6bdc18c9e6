"""What a single value may be: addresses, numbers, times, sizes."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import phonenumbers

TextRule = Callable[[str], str | None]

LONGEST_STRING = 100_000
"""Bytes: 100 KB, read the strict way."""
_DEEPEST = 10
_MOST_ELEMENTS = 4000
_EMAIL = re.compile(
    r"(?=.{3,254}\Z)(?=[^@]{1,64}@)[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*"
    r"@([^\W_]([\w-]{0,61}[^\W_])?\.)+[^\W\d_]([\w-]{0,61}[^\W_])\Z"
)
_PHONE = re.compile(r"\+[1-9][0-9]{1,14}\Z")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}([.,]\d+)?)?([Zz]|[+-]\d{2}:?\d{2})?\Z")
_CODES = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP
BYN BZD CAD CDF CHE CHF CHW CLF CLP CNY COP COU CRC CUC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB
EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD
JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU
MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD
RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY
TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAF XAG XAU XBA XBB XBC XBD XCD
XCG XDR XOF XPD XPF XPT XSU XTS XUA XXX YER ZAR ZMW ZWG ZWL
"""
_CURRENCIES = frozenset(_CODES.split())
_FAKE_DOMAINS = frozenset({"example.com", "example.org", "example.net", "test.com"})
_FAKE_NAMES = ("test", "fake", "invalid")


def is_long(text: str) -> bool:
    """Tell whether a string is past the cap; cheap for the usual short one."""
    return len(text) * 4 > LONGEST_STRING and len(text.encode()) > LONGEST_STRING


def email(text: str) -> str | None:
    """Say what is wrong with an e-mail address."""
    return None if _EMAIL.match(text) else "Invalid email address"


def phone(text: str) -> str | None:
    """Say what is wrong with a phone number: E.164, and of a length its country uses."""
    if _PHONE.match(text) and _is_possible(text[:7], len(text)):
        return None
    return "Invalid phone number format (Example of a valid format: +12345678901)"


@lru_cache(maxsize=65536)
def _is_possible(start: str, length: int) -> bool:
    """Tell whether a country (its code is in the start) has numbers of a length; parsing is slow."""
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(start.ljust(length, "2")))
    except phonenumbers.NumberParseException:
        return False


def currency(text: str) -> str | None:
    """Say what is wrong with a currency (ISO 4217)."""
    return None if text in _CURRENCIES else f"'{text}' is not a valid ISO 4217 currency code."


def unique_id(text: str) -> str | None:
    """Say what is wrong with an event's dedupe key."""
    return None if 1 <= len(text) <= 255 else "'unique_id' must have between 1 and 255 characters."


def metric_name(text: str) -> str | None:
    """Say what is wrong with a metric's name."""
    return (
        None
        if len(text.strip()) >= 1 and len(text) < 128
        else "Metric name must be less than 128 characters."
    )


def date(text: str) -> str | None:
    """Say what is wrong with a date."""
    return None if _DATE.match(text) and _parsed(text) else f"'{text}' is not a valid date."


def date_time(text: str) -> str | None:
    """Say what is wrong with a date-time (ISO 8601)."""
    return None if parse_time(text) else f"'{text}' is not a valid ISO 8601 date-time."


@lru_cache(maxsize=8192)
def parse_time(text: str) -> datetime | None:
    """Read a date-time; without an offset it is UTC; None when it is none."""
    moment = _parsed(text) if _TIME.match(text) else None
    if moment is not None and moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment


def _parsed(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def is_fake(address: str) -> bool:
    """Tell whether Klaviyo would take the address and record nothing."""
    name, _, domain = address.lower().partition("@")
    return domain in _FAKE_DOMAINS or any(word in name for word in _FAKE_NAMES)


def wrong_in(value: Any, depth: int = 1) -> tuple[str, str] | None:
    """Find the first thing too long or too deep in a free object: its relative pointer, and what it is."""
    if depth > _DEEPEST:
        return "", f"Properties cannot be nested more than {_DEEPEST} levels deep."
    if isinstance(value, list) and len(value) > _MOST_ELEMENTS:
        return "", f"Arrays cannot have more than {_MOST_ELEMENTS} elements."
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for name, item in items:
        if isinstance(item, str):
            if is_long(item):
                return f"/{name}", "A single string cannot exceed 100KB."
        elif isinstance(item, dict | list):
            wrong = wrong_in(item, depth + 1)
            if wrong:
                return f"/{name}{wrong[0]}", wrong[1]
    return None
