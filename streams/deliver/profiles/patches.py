"""What Klaviyo has no id for: an append in doubt is read back, and only what is missing goes again.

Klaviyo appends a value as often as it is told. When nobody knows whether it was told, the profile's property
says so: of each value as many are appended as the update has more than the property. A value that was there
before the update is taken for the update's own, so in doubt a wanted duplicate may be missing; a duplicate
that nobody wanted never comes to be. To take a value off is harmless to repeat, but takes off what was
appended meanwhile by others: what is gone already is not taken off again.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import orjson

from streams.klaviyo import audience

_LOOKED_UP_BY = ("email", "phone_number", "external_id")


def looked_up_by(who: Mapping[str, str]) -> tuple[str, str]:
    """The identifier that a profile is read back by."""
    return next((name, who[name]) for name in _LOOKED_UP_BY if name in who)


def shown(data: Any, field: str, value: str) -> dict[str, Any]:
    """The profile's properties in an answer; empty when Klaviyo has no such profile."""
    for _, attributes in audience.resources(data):
        if audience.same(field, attributes.get(field)) == audience.same(field, value):
            return attributes.get("properties") or {}
    return {}


def missing(patch: Mapping[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    """What of a patch Klaviyo does not show to be done."""
    left: dict[str, Any] = {}
    appended = {
        name: more
        for name, value in (patch.get("append") or {}).items()
        if (more := _more(_values(value), _values(properties.get(name))))
    }
    taken = {
        name: there
        for name, value in (patch.get("unappend") or {}).items()
        if (there := _there(_values(value), _values(properties.get(name))))
    }
    if appended:
        left["append"] = appended
    if taken:
        left["unappend"] = taken
    return left


def _more(wanted: list[Any], there: list[Any]) -> list[Any]:
    found = Counter(map(_form, there))
    more = []
    for value in wanted:
        form = _form(value)
        if found[form]:
            found[form] -= 1
        else:
            more.append(value)
    return more


def _there(wanted: list[Any], there: list[Any]) -> list[Any]:
    found = set(map(_form, there))
    return [value for value in wanted if _form(value) in found]


def _values(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [] if value is None else [value]


def _form(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
