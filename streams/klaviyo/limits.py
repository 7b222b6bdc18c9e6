"""Klaviyo's limits on a payload, checked before sending: a visible fix, or a refusal that says why."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

import orjson
import phonenumbers

PROPERTIES: Final = 400
DEPTH: Final = 10
ELEMENTS: Final = 4000
STRING_BYTES: Final = 100_000
METRIC_CHARACTERS: Final = 127
EXTERNAL_ID_CHARACTERS: Final = 255
PROFILE_BYTES: Final = 100_000
_EARLIEST_MS: Final = 631_152_000_000
_YEAR_MS: Final = 365 * 86_400_000
_EMAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+\Z")
_PHONE: Final = re.compile(r"\+[1-9]\d{1,14}\Z")
_CURRENCY: Final = re.compile(r"[A-Z]{3}\Z")
ATTRIBUTES: Final = frozenset(
    {
        "first_name",
        "last_name",
        "organization",
        "locale",
        "title",
        "image",
        "location",
        "properties",
    }
)
LOCATION: Final = frozenset(
    {"address1", "address2", "city", "country", "latitude", "longitude", "region", "zip", "timezone", "ip"}
)


@dataclass(frozen=True, slots=True)
class Sound:
    """May be sent; ``ignored`` names what was left out."""

    who: dict[str, str]
    payload: dict[str, Any]
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """Must not be sent; ``reason`` is one of the closed list."""

    detail: str
    reason: Literal["rejected", "too_large", "no_identifier"] = "rejected"


def event(who: dict[str, str], payload: dict[str, Any], time_ms: int, now_ms: int) -> Sound | Refused:
    """Check one event: ``payload`` is an event operation's, ``who`` its identifiers."""
    known, ignored = _identifiers(who)
    if not known:
        return Refused(f"no identifier that Klaviyo takes; found {_shown(who)}", "no_identifier")
    metric = payload.get("metric")
    if not isinstance(metric, str) or not metric.strip() or len(metric) > METRIC_CHARACTERS:
        return Refused(f"a metric's name has 1 to {METRIC_CHARACTERS} characters, found {_shown(metric)}")
    if not _EARLIEST_MS < time_ms <= now_ms + _YEAR_MS:
        return Refused(f"the time must lie after 1990 and at most a year ahead, found {time_ms} ms")
    properties = payload.get("properties") or {}
    if not isinstance(properties, dict):
        return Refused(f"properties must be an object, found {type(properties).__name__}")
    if wrong := _wrong(properties, properties):
        return wrong
    sound = dict(payload)
    value = sound.get("value")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        ignored.append("value")
        del sound["value"]
    currency = sound.get("value_currency")
    if currency is not None and not (isinstance(currency, str) and _CURRENCY.match(currency)):
        ignored.append("value_currency")
        del sound["value_currency"]
    return Sound(known, sound, tuple(ignored))


def profile(who: dict[str, str], payload: dict[str, Any]) -> Sound | Refused:
    """Check one profile update: ``payload`` is a profile operation's."""
    known, ignored = _identifiers({name: value for name, value in who.items() if name != "anonymous_id"})
    if not known:
        return Refused(f"no identifier that profile-import takes; found {_shown(who)}", "no_identifier")
    given = payload.get("attributes") or {}
    attributes = {name: value for name, value in given.items() if name in ATTRIBUTES}
    ignored += [name for name in given if name not in ATTRIBUTES]
    for name, allowed in (("location", LOCATION), ("properties", None)):
        inner = attributes.get(name)
        if name in attributes and not isinstance(inner, dict):
            ignored.append(name)
            del attributes[name]
        elif allowed is not None and isinstance(inner, dict):
            attributes[name] = {key: value for key, value in inner.items() if key in allowed}
            ignored += [f"{name}.{key}" for key in inner if key not in allowed]
    if wrong := _wrong(attributes, attributes.get("properties") or {}):
        return wrong
    size = len(orjson.dumps(attributes))
    if size > PROFILE_BYTES - 1000:
        return Refused(f"a profile may have {PROFILE_BYTES} bytes, found {size}", reason="too_large")
    return Sound(known, {**payload, "attributes": attributes}, tuple(ignored))


@lru_cache(maxsize=65_536)
def phone_fits(number: str) -> bool:
    """E.164, and of a length that its country uses: beside an address Klaviyo would drop another silently."""
    if not _PHONE.match(number):
        return False
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return False


def _identifiers(who: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    fits: dict[str, Callable[[str], bool]] = {
        "email": lambda text: len(text) <= 254 and bool(_EMAIL.match(text)),
        "phone_number": phone_fits,
        "external_id": lambda text: len(text) <= EXTERNAL_ID_CHARACTERS,
        "anonymous_id": lambda text: len(text) <= EXTERNAL_ID_CHARACTERS,
    }
    known = {name: value for name, value in who.items() if fits[name](value)}
    return known, [name for name in who if name not in known]


def _wrong(whole: dict[str, Any], custom: dict[str, Any]) -> Refused | None:
    if len(custom) > PROPERTIES:
        return Refused(f"at most {PROPERTIES} properties, found {len(custom)}")
    for path, value, depth in _walk(whole):
        if isinstance(value, str):
            if len(value) * 4 > STRING_BYTES and (size := len(value.encode())) > STRING_BYTES:
                return Refused(
                    f"a string may have {STRING_BYTES} bytes, {path} has {size}", reason="too_large"
                )
        elif depth > DEPTH:
            return Refused(f"objects may be nested {DEPTH} deep, {path} is {depth} deep")
        elif isinstance(value, list) and len(value) > ELEMENTS:
            return Refused(f"an array may have {ELEMENTS} elements, {path} has {len(value)}")
    return None


def _walk(value: Any, path: str = "properties", depth: int = 1) -> Iterator[tuple[str, Any, int]]:
    """Strings, objects and arrays inside, each with where it is; stops one below the deepest allowed."""
    if isinstance(value, str | dict | list):
        yield path, value, depth
    if depth > DEPTH or not isinstance(value, dict | list):
        return
    for name, item in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(item, str | dict | list):
            yield from _walk(item, f"{path}.{name}", depth + 1)


def _shown(value: Any) -> str:
    return repr(value)[:200]
