"""Payloads made to fit Klaviyo's limits by the rules of the file, or refused with what is too much.

Whatever is done to a payload is named in it. Pure.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from streams.config.payload import Payload
from streams.klaviyo.limits import DEPTH, ELEMENTS, PROFILE_BYTES, PROPERTIES, Path, refused, shown
from streams.ledger.reasons import Reason
from streams.route.slimming import Step, changes, compile_step, measured

NOTE: Final = "_slimmed"
"""The property of an event that says what was done; a property that has the name already stays."""
_MOST_PARTS: Final = 100
_AROUND: Final = 1000
"""Left in the size of a profile for what is not its attributes, and of an event's part for its note."""
_ONCE: Final = ("value", "value_currency")
"""What only the first part of an event has: revenue is not counted twice."""
_NAMED: Final = 20
"""Places that are named; the rest is counted."""
_SMALL: Final = 2 * ELEMENTS
"""Below this many bytes nothing but depth and the number of properties can be too much."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nothing that the rules say makes it fit."""

    reason: Reason
    detail: str


@dataclass(slots=True)
class Fitted:
    """A payload that fits, and what was done to it; ``part`` counts from 0."""

    payload: dict[str, Any]
    done: list[str] = field(default_factory=list)
    part: int = 0


@dataclass(frozen=True, slots=True)
class Fitting:
    """The rules of one ``payload:`` section."""

    over: str
    max_bytes: int
    steps: tuple[Step, ...]
    always: bool
    """Whether some step is for every payload."""

    def profile(self, made: dict[str, Any]) -> Fitted | Refusal:
        """A profile's payload: its attributes are slimmed, never split."""
        room = min(self.max_bytes, PROFILE_BYTES - _AROUND)
        if self._fits(made["attributes"], room):
            return Fitted(made)
        found = Fitted(orjson.loads(orjson.dumps(made)))
        return self._slimmed(found, found.payload["attributes"], (), room)

    def event(self, made: dict[str, Any]) -> list[Fitted] | Refusal:
        """An event's payload as one that fits, or as several of which only the first has the value."""
        if self._fits(made["properties"], self.max_bytes):
            return [Fitted(made)]
        whole: dict[str, Any] = orjson.loads(orjson.dumps(made))
        parts = [Fitted(whole)]
        if self.over == "split":
            first = [step for step in self.steps if step.always]
            self._apply(first, parts[0], {"properties": whole["properties"]}, _EVENT, self.max_bytes)
            parts = _split(parts[0], self.max_bytes)
        for part in parts:
            root = {"properties": part.payload["properties"]}
            end = self._slimmed(part, root, _EVENT, self.max_bytes)
            if isinstance(end, Refusal):
                return end
            _note(part)
        return parts

    def _fits(self, custom: dict[str, Any], room: int) -> bool:
        """Whether there is nothing to do: the usual case, told quickly."""
        if self.always:
            return False
        data = orjson.dumps(custom)
        if len(data) > _SMALL or len(data) > room:
            return False
        deep = data.count(b"{") + data.count(b"[") > DEPTH and _deep(custom, DEPTH - 1)
        return len(custom) <= PROPERTIES and not deep

    def _slimmed(self, found: Fitted, root: dict[str, Any], at: Path, room: int) -> Fitted | Refusal:
        steps = [step for step in self.steps if step.always or self.over != "dead_letter"]
        self._apply(steps, found, root, at, room)
        if found.done:
            found.payload["slimmed"] = found.done
        left = measured(root, at, room)
        if left.found:
            end = refused(left.found[0])
            return Refusal(Reason(end.reason), end.detail)
        if left.bytes > 0:
            return Refusal(Reason.TOO_LARGE, _heaviest(root, at, left.bytes + room, room))
        return found

    def _apply(self, steps: Iterable[Step], found: Fitted, root: dict[str, Any], at: Path, room: int) -> None:
        for step in steps:
            too_much = measured(root, at, room)
            if not too_much and not step.always:
                continue
            too_much.index()
            found.done += _named(changes(step, root, too_much))


_EVENT: Final[Path] = ("properties",)


def compile_payload(payload: Payload) -> Fitting:
    """The section as a function of payloads."""
    steps = tuple(map(compile_step, payload.slim))
    return Fitting(payload.over, payload.max_bytes, steps, any(step.always for step in steps))


def _deep(value: Any, left: int) -> bool:
    """Whether objects and arrays are nested more than ``left`` deep inside."""
    for item in value.values() if type(value) is dict else value:
        if type(item) in (dict, list) and (left == 0 or _deep(item, left - 1)):
            return True
    return False


def _named(changes: Iterable[tuple[str, str]]) -> list[str]:
    """Each place with what was done, many alike places as a number, and of very many the number only."""
    by_place: dict[str, list[str]] = {}
    for where, what in changes:
        by_place.setdefault(where, []).append(what)
    told = [
        f"{where}: {whats[0]}" if len(whats) == 1 else f"{where}: {len(whats)} times, {whats[0]}"
        for where, whats in by_place.items()
    ]
    more = len(told) - _NAMED
    return told if more <= 0 else [*told[:_NAMED], f"{more} more places"]


def _note(part: Fitted) -> None:
    properties = part.payload["properties"]
    if part.done and NOTE not in properties and len(properties) < PROPERTIES:
        properties[NOTE] = part.done


def _heaviest(root: dict[str, Any], at: Path, size: int, room: int) -> str:
    properties: Any = root.get("properties") or {}
    weights = {name: len(orjson.dumps(value)) for name, value in properties.items()}
    most = max(weights, key=lambda name: weights[name], default=None)
    named = "" if most is None else f", of which {shown(('properties', most))} {weights[most]}"
    what = "an event's properties" if at else "a profile's attributes"
    return f"{what} may have {room} bytes, found {size}{named}"


def _split(whole: Fitted, room: int) -> list[Fitted]:
    """An event as several with a slice each of its heaviest array, if that is what makes it too much."""
    payload = whole.payload
    properties: dict[str, Any] = payload["properties"]
    too_much = measured({"properties": properties}, _EVENT, room)
    long = {
        excess.path[-1] for excess in too_much.found if excess.what == "elements" and len(excess.path) == 2
    }
    arrays = {
        name: len(orjson.dumps(value))
        for name, value in properties.items()
        if type(value) is list and len(value) > 1 and (name in long or too_much.bytes > 0)
    }
    if not arrays:
        return [whole]
    name = max(arrays, key=lambda name: (name in long, arrays[name]))
    left = room - _AROUND - (too_much.bytes + room - arrays[name])
    slices = list(_slices(properties[name], left)) if left > 0 else []
    if not 1 < len(slices) <= _MOST_PARTS:
        return [whole]
    parts = []
    for number, items in enumerate(slices):
        kept = {k: v for k, v in payload.items() if not number or k not in _ONCE}
        told = f"{shown(('properties', name))}: part {number + 1} of {len(slices)}"
        done = [*whole.done, told]
        made = kept | {"properties": properties | {name: items}}
        parts.append(Fitted(orjson.loads(orjson.dumps(made)), done, number))
    return parts


def _slices(items: list[Any], room: int) -> Iterator[list[Any]]:
    taken: list[Any] = []
    size = 2
    for item in items:
        weight = len(orjson.dumps(item)) + 1
        if taken and (size + weight > room or len(taken) == ELEMENTS):
            yield taken
            taken, size = [], 2
        taken.append(item)
        size += weight
    yield taken
