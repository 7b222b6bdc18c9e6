"""Folding profile updates: the newest value of each attribute by event time, and only what changed.

The state of a profile is a hash and an event time for each attribute, so that what Klaviyo already has is
not sent again and an older event never overwrites a newer value.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import orjson

State = dict[str, list[Any]]
"""Attribute's path → hash and event time (ms). Identifiers stand under "#"."""
_NESTED = ("location", "properties")


@dataclass(frozen=True, slots=True)
class Update:
    """One operation's part: identifiers, attributes, keys to unset, event time in ms."""

    who: dict[str, str]
    attributes: dict[str, Any]
    time: int
    unset: tuple[str, ...] = ()
    extends: bool = False
    """It appends or unappends, which no value of ours can tell to be done already."""
    once: dict[str, Any] = field(default_factory=dict)
    """Properties that count only where there is none yet."""
    present: tuple[str, ...] = ()
    """Properties that somebody else has set, whatever their values."""


@dataclass(frozen=True, slots=True)
class Folded:
    """What to send: nothing when no update ``changed`` anything."""

    who: dict[str, str]
    attributes: dict[str, Any]
    unset: tuple[str, ...]
    state: State
    changed: tuple[bool, ...]


def fold(state: State, updates: Sequence[Update]) -> Folded:
    """Fold updates of one profile, in lane order, onto its state."""
    new: State = {path: list(entry) for path, entry in state.items()}
    values: dict[str, Any] = {}
    unset: set[str] = set()
    changed: list[bool] = []
    for update in updates:
        differs = update.extends
        for name in update.present:
            new.setdefault(f"properties.{name}", ["?", 0])
        for name, value in update.once.items():
            path = f"properties.{name}"
            if path not in new or not new[path][0]:
                new[path] = [_hash(value), update.time]
                values[path], differs = value, True
                unset.discard(path)
        for path, value, gone in _leaves(update):
            mark = "" if gone else _hash(value)
            before = new.get(path)
            if before is not None and not path.startswith("#") and update.time < before[1]:
                continue
            if before is None or before[0] != mark:
                differs = True
                values.pop(path, None)
                unset.discard(path)
                if gone:
                    unset.add(path)
                elif not path.startswith("#"):
                    values[path] = value
            new[path] = [mark, update.time]
        changed.append(differs)
    keys = tuple(sorted(path.removeprefix("properties.") for path in unset))
    return Folded(updates[-1].who, _nested(values), keys, new, tuple(changed))


def doubted(state: State, sure: Collection[str] = ()) -> State:
    """A state of which only times and ``sure`` paths are known: a merge at Klaviyo chose among values."""
    return {path: entry if path in sure or not entry[0] else ["?", entry[1]] for path, entry in state.items()}


def joined(one: State, other: State) -> State:
    """The state of two profiles that become one: of a path that both have only the later time is known."""
    both = {path: ["?", max(one[path][1], other[path][1])] for path in one if path in other}
    apart = {path: entry for path, entry in (one | other).items() if not path.startswith("#")}
    return apart | {path: entry for path, entry in both.items() if not path.startswith("#")}


def _leaves(update: Update) -> Iterator[tuple[str, Any, bool]]:
    for name, value in update.who.items():
        yield f"#{name}", value, False
    for name, value in update.attributes.items():
        if name in _NESTED and isinstance(value, dict):
            for inner, leaf in value.items():
                yield f"{name}.{inner}", leaf, False
        else:
            yield name, value, False
    for name in update.unset:
        yield f"properties.{name}", None, True


def _nested(values: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path, value in values.items():
        head, dot, inner = path.partition(".")
        if dot and head in _NESTED:
            found.setdefault(head, {})[inner] = value
        else:
            found[path] = value
    return found


def _hash(value: Any) -> str:
    return blake2b(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()
