"""Values in the form that Klaviyo wants: each takes any value of JSON and may give ``MISSING``."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from streams.config.paths import MISSING
from streams.segment.identifiers import normal_phone

_NUMBER = re.compile(r"\s*([+-]?(\d{1,30}(\.\d{0,30})?|\.\d{1,30})([eE][+-]?\d{1,2})?)\s*\Z")
_EPOCH = re.compile(r"-?[0-9]{9,}\Z")
_EARLIEST, _LATEST = -2_208_988_800, 4_102_444_800
"""1900 and 2100 in seconds: a number beyond is in milliseconds, or no date."""

_CODES = """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN
    BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS
    GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW
    KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD
    NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD
    SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED
    VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
"""
CURRENCIES = frozenset(_CODES.split())
"""ISO 4217, the currencies in circulation."""


def number(value: Any) -> Any:
    """An int or a float, from a number or from the text of one; never NaN, infinity or a boolean."""
    kind = type(value)
    if kind is int:
        return value
    if kind is float:
        return value if value - value == 0 else MISSING
    if kind is not str or not (match := _NUMBER.match(value)):
        return MISSING
    found = float(match[1])
    return int(found) if found.is_integer() and abs(found) < 2**53 else found


def text(value: Any) -> Any:
    """A string; numbers as written, whole ones without a fraction; booleans and structures not at all."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))  # JSON's 7.0 is 7: an id must not differ by who wrote it
    return MISSING if isinstance(value, bool) or not isinstance(value, int | float) else str(value)


def currency(value: Any) -> Any:
    """An ISO 4217 code in capitals."""
    code = value.strip().upper() if isinstance(value, str) else None
    return code if code in CURRENCIES else MISSING


def boolean(value: Any) -> Any:
    """True or false, from a boolean or from the usual words and digits."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower() if isinstance(value, str | int) else ""
    return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(word, MISSING)


def date(value: Any) -> Any:
    """ISO 8601 in UTC to the second, a date alone as it is; from ISO 8601, or seconds or milliseconds.

    Text of eight digits is a date of ISO 8601 (20260131), of nine or more an epoch number; fewer are none.
    """
    try:
        if isinstance(value, str) and _EPOCH.match(value.strip()):
            value = int(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            seconds = value if _EARLIEST <= value <= _LATEST else value / 1000
            return _iso(datetime.fromtimestamp(seconds, UTC))
        if not isinstance(value, str):
            return MISSING
        moment = datetime.fromisoformat(value.strip())
        if len(value.strip()) <= 10:
            return moment.date().isoformat()
        return _iso(moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError, OSError):
        return MISSING


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment.year >= 1000 else moment.isoformat()


def phone(value: Any, country: Any = None) -> Any:
    """E.164, from any usual way to write a number; a national one needs its country (ISO 3166 alpha-2)."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = f"+{value}"
    if not isinstance(value, str) or len(value) > 64:
        return MISSING
    found = normal_phone(value.strip(), country.strip().upper() if isinstance(country, str) else None)
    return found if found is not None else MISSING


FORMATS: dict[str, Callable[[Any], Any]] = {
    "text": text,
    "number": number,
    "date": date,
    "phone": phone,
    "currency": currency,
    "boolean": boolean,
    "lower": lambda value: value.lower() if isinstance(value, str) else MISSING,
    "upper": lambda value: value.upper() if isinstance(value, str) else MISSING,
}
"""What ``format:`` may say in a rule."""
