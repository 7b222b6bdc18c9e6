"""Contracts learned from traffic: what each event's properties have been so far. Pure.

Values may be personal, so an example is kept only of what is no text, or of a text that two people had.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

ENOUGH: Final = 10
"""Messages of an event before a property that was in all of them is one that must be there."""
MOST_FIELDS: Final = 200
"""An object with more different keys than that has no fields: its keys are data."""
_KEPT: Final = 50
_LONGEST: Final = 40
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_ORDER: Final = ("null", "boolean", "double", "string", "array", "record")


@dataclass(slots=True)
class Shape:
    """What was seen at one place: how often which type, and what is inside."""

    types: Counter[str] = field(default_factory=Counter)
    fields: dict[str, "Shape"] = field(default_factory=dict)
    items: "Shape | None" = None
    seen: dict[Any, set[str]] = field(default_factory=dict)
    """Plain value → who had it, two at most."""

    def add(self, value: Any, person: str) -> None:
        """Take one value in."""
        kind = _kind(value)
        self.types[kind] += 1
        if kind == "record":
            for name, inner in value.items():
                if name in self.fields or len(self.fields) <= MOST_FIELDS:
                    self.fields.setdefault(name, Shape()).add(inner, person)
        elif kind == "array":
            self.items = self.items or Shape()
            for inner in value:
                self.items.add(inner, person)
        elif kind != "null" and (value in self.seen or len(self.seen) < _KEPT):
            people = self.seen.setdefault(value, set())
            if len(people) < 2:
                people.add(person)

    def example(self) -> Any:
        """A value that tells nobody's secret; None if there is none."""
        for value, people in self.seen.items():
            if not isinstance(value, str):
                return value
            if len(people) > 1 and "@" not in value and len(value) <= _LONGEST:
                return value
        return None


class Learner:
    """All events seen so far."""

    def __init__(self) -> None:
        self._events: dict[str, Shape] = {}

    def see(self, message: Mapping[str, Any]) -> None:
        """Take one message in; only tracks have contracts."""
        event, properties = message.get("event"), message.get("properties")
        if message.get("type", "track") != "track" or not isinstance(event, str) or not event.strip():
            return
        person = str(message.get("userId") or message.get("anonymousId") or "")
        given = properties if isinstance(properties, dict) else {}
        self._events.setdefault(event, Shape()).add(given, person)

    def contracts(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """File name without its ending, and schema, of each event that was seen."""
        taken: set[str] = set()
        for event, shape in sorted(self._events.items()):
            name = _unique("_".join(re.findall(r"[a-z0-9]+", event.lower())) or "event", taken)
            names: set[str] = set()
            title = _unique(_camel(event), names)
            yield (
                name,
                {
                    "type": "record",
                    "name": title,
                    "namespace": "streams.contracts",
                    "event": event,
                    "doc": f"Learned from {shape.types['record']} messages.",
                    "fields": list(_fields(shape, names)),
                },
            )


def _fields(shape: Shape, names: set[str]) -> Iterator[dict[str, Any]]:
    taken: set[str] = set()
    total = shape.types["record"]
    for name, inner in shape.fields.items():
        found: dict[str, Any] = {"name": name}
        if not _PLAIN.match(name):
            found = {"name": re.sub(r"\W", "_", f"_{name}", flags=re.ASCII), "property": name}
        found["name"] = _unique(found["name"], taken)
        types = _types(inner, name, names)
        always = inner.types.total() - inner.types["null"] == total >= ENOUGH
        if not always and "null" not in types:
            types = ["null", *types]
        found["type"] = types[0] if len(types) == 1 else types
        if not always:
            found["default"] = None
        if (example := inner.example()) is not None:
            found["example"] = example
        yield found


def _types(shape: Shape, name: str, names: set[str]) -> list[Any]:
    """The types seen, null first, so that it may be the default."""
    found: list[Any] = []
    for kind in _ORDER:
        if not shape.types[kind]:
            continue
        if kind == "array":
            inner = _types(shape.items, name, names) if shape.items else []
            found.append({"type": "array", "items": inner[0] if len(inner) == 1 else inner or "null"})
        elif kind != "record":
            found.append(kind)
        elif len(shape.fields) > MOST_FIELDS:
            found.append({"type": "map", "values": ["null", "boolean", "double", "string"]})
        else:
            title = _unique(_camel(name), names)
            found.append({"type": "record", "name": title, "fields": list(_fields(shape, names))})
    return found


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    # a price that was whole so far may be broken tomorrow
    kinds = {bool: "boolean", int: "double", float: "double", str: "string", list: "array", dict: "record"}
    return kinds[type(value)]


def _camel(text: str) -> str:
    words = re.findall(r"[A-Za-z0-9]+", text)
    made = "".join(word[0].upper() + word[1:] for word in words) or "Record"
    return f"_{made}" if made[0].isdigit() else made


def _unique(name: str, taken: set[str]) -> str:
    """The name, with underscores until nothing else is called so."""
    while name in taken:
        name += "_"
    taken.add(name)
    return name
