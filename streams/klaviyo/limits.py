"""Klaviyo's limits on a payload, checked before sending: a visible fix, or a refusal that says why."""

import re
from collections.abc import Callable
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
_PHONE: Final = re.compile(r"\+[1-9][0-9]{1,14}\Z")
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


Path = tuple[str | int, ...]
_Place = tuple["_Place", str | int] | None
"""A path from its end: written out only for what is too much."""


@dataclass(frozen=True, slots=True)
class Excess:
    """Something inside a payload that Klaviyo would refuse; ``path`` is where."""

    what: Literal["properties", "depth", "elements", "string"]
    path: Path
    found: int

    def __str__(self) -> str:
        """What may be and what is."""
        where = shown(self.path)
        return {
            "properties": f"at most {PROPERTIES} properties, found {self.found}",
            "depth": f"objects may be nested {DEPTH} deep, {where} is {self.found} deep",
            "elements": f"an array may have {ELEMENTS} elements, {where} has {self.found}",
            "string": f"a string may have {STRING_BYTES} bytes, {where} has {self.found}",
        }[self.what]


def shown(path: Path, *, alike: bool = False) -> str:
    """The path for people, ``properties.Items[3].Name`` (``[*]`` if ``alike``); long names are cut."""
    text = "".join(
        (f"[{'*' if alike else part}]" if isinstance(part, int) else f".{part[:80]}") for part in path
    )
    return text.removeprefix(".")[:300]


def excesses(whole: dict[str, Any], properties: dict[str, Any], at: Path = ()) -> list[Excess]:
    """All that is too much inside ``whole``, which stands at ``at``; what is too deep is not looked into."""
    found: list[Excess] = []
    if len(properties) > PROPERTIES:
        found.append(Excess("properties", ("properties",), len(properties)))
    _look(whole, (None, at[0]) if at else None, 1, found)
    return found


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
    if too_much := excesses(properties, properties, ("properties",)):
        return refused(too_much[0])
    sound = dict(payload)
    ignored += sound.pop("slimmed", None) or ()
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
    too_much = excesses(attributes, attributes.get("properties") or {})
    patch = payload.get("patch") or {}
    listed = {name: patch[name] for name in ("append", "unappend") if patch.get(name)}
    for name, values in listed.items():
        too_much += excesses(values, values, (name,))
    if too_much:
        return refused(too_much[0])
    ignored += payload.get("slimmed") or ()
    size = len(orjson.dumps(attributes)) + (len(orjson.dumps(listed)) if listed else 0)
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


def refused(too_much: Excess) -> Refused:
    """The refusal of a payload with too much in it."""
    return Refused(str(too_much), reason="too_large" if too_much.what == "string" else "rejected")


def _look(value: dict[str, Any] | list[Any], at: _Place, depth: int, found: list[Excess]) -> None:
    if depth > DEPTH:
        found.append(Excess("depth", _path(at), depth))
        return
    several: Any
    if type(value) is list:
        if len(value) > ELEMENTS:
            found.append(Excess("elements", _path(at), len(value)))
        several = enumerate(value)
    else:
        several = value.items()  # type: ignore[union-attr]
    for name, item in several:
        kind = type(item)
        if kind is str:
            if len(item) * 4 > STRING_BYTES and (size := len(item.encode())) > STRING_BYTES:
                found.append(Excess("string", _path((at, name)), size))
        elif kind is dict or kind is list:
            _look(item, (at, name), depth + 1, found)


def _path(at: _Place) -> Path:
    parts: list[str | int] = []
    while at is not None:
        at, name = at
        parts.append(name)
    return tuple(reversed(parts))


def _shown(value: Any) -> str:
    return repr(value)[:200]
