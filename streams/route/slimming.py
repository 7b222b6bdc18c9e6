"""The steps of ``slim``: each finds what it can make smaller, and does so where that helps. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from streams.config.paths import Places, compile_places
from streams.config.payload import Slim
from streams.klaviyo.limits import DEPTH, STRING_BYTES, Excess, Path, excesses, shown


@dataclass(slots=True)
class TooMuch:
    """What is over a limit, so that each step can tell whether it would help."""

    found: list[Excess]
    bytes: int
    """Over the size allowed; at most 0 where that is kept."""
    inside: dict[Path, int] = field(default_factory=dict)
    """Each place that has too much in it → the highest index inside where that stands; -1 without one."""
    at: dict[Path, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.found) or self.bytes > 0

    def index(self) -> None:
        """Fill what steps ask for."""
        for excess in self.found:
            path = excess.path
            self.at[path] = excess.what
            for depth in range(1, len(path)):
                after = path[depth]
                index = after if isinstance(after, int) else -1
                self.inside[path[:depth]] = max(self.inside.get(path[:depth], -1), index)


@dataclass(slots=True)
class _Node:
    """A value that a step can change, where it stands."""

    holder: Any
    path: Path

    @property
    def value(self) -> Any:
        """What stands there now."""
        return self.holder[self.path[-1]]


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of ``slim``, compiled."""

    how: str
    bound: int
    places: tuple[Places, ...]
    always: bool

    def nodes(self, root: dict[str, Any]) -> list[_Node]:
        """Values that the step would change."""
        found: dict[Path, _Node] = {}
        for places in self.places:
            for path in places(root):
                node = _node(root, path)
                if node is not None and self._changes(node):
                    found[path] = node
        return list(found.values())

    def _changes(self, node: _Node) -> bool:
        if self.how == "drop":
            return node.path != ("properties",) and type(node.holder) is dict
        value = node.value
        if type(value) is not (str if self.how == "truncate" else list):
            return False
        return len(value) > self.bound or (type(value) is str and _long(value))

    def helps(self, node: _Node, too_much: TooMuch) -> bool:
        """Whether the change takes away something of what is too much."""
        path = node.path
        if too_much.bytes > 0:
            return True
        if self.how == "truncate":
            return too_much.at.get(path) == "string"
        if self.how == "items":
            return too_much.at.get(path) == "elements" or too_much.inside.get(path, -1) >= self.bound
        many = too_much.at.get(("properties",)) == "properties" and path[:-1] == ("properties",)
        return many or path in too_much.at or path in too_much.inside

    def change(self, node: _Node) -> tuple[str, str]:
        """Do it; where, all alike places of an array under one name, and what."""
        where = shown(node.path, alike=True)
        name, value = node.path[-1], node.value
        if self.how == "drop":
            del node.holder[name]
            return where, "dropped"
        node.holder[name] = value[: self.bound] if self.how == "items" else _cut(value, self.bound)
        unit = "" if self.how == "items" else " characters"
        return where, f"{len(value)} to {len(node.holder[name])}{unit}"


def _long(text: str) -> bool:
    return len(text) * 4 > STRING_BYTES and len(text.encode()) > STRING_BYTES


def _cut(text: str, to: int) -> str:
    """At most ``to`` characters and as many bytes as Klaviyo takes; an ellipsis says that there was more."""
    kept = text[: to - 1]
    if len(kept) * 4 > STRING_BYTES:
        kept = kept.encode()[: STRING_BYTES - 3].decode(errors="ignore")
    return kept + "…"


def _node(root: Any, path: Path) -> _Node | None:
    if not path:
        return None
    try:
        for part in path[:-1]:
            root = root[part]
        root[path[-1]]
    except (KeyError, IndexError, TypeError):
        return None
    return _Node(root, path)


def compile_step(slim: Slim) -> Step:
    """The entry as a function of payloads."""
    how, bound = ("drop", 0) if slim.drop else ("items", slim.most) if slim.items else ("truncate", slim.to)
    paths = slim.drop or slim.items or slim.truncate
    return Step(how, bound or 0, tuple(map(_places, paths)), slim.always)


def _places(text: str) -> Places:
    """As the library finds them; all inside the properties, the default's path, in a tenth of the time."""
    if text != "$.properties..*":
        return compile_places(text)
    return lambda root: list(_inside(root.get("properties"), ("properties",)))


def _inside(value: Any, path: Path) -> Iterator[Path]:
    """Places of texts, objects and arrays, outer ones first; those too deep are not looked into."""
    if len(path) > DEPTH:
        return
    several = value.items() if type(value) is dict else enumerate(value) if type(value) is list else ()
    for name, item in several:
        if type(item) in (str, list, dict):
            inner = (*path, name)
            yield inner
            if type(item) is not str:
                yield from _inside(item, inner)


def measured(root: dict[str, Any], at: Path, room: int) -> TooMuch:
    """What of a payload is too much: of ``root`` what stands at ``at``, in so many bytes."""
    properties = root.get("properties")
    counted = properties if isinstance(properties, dict) else {}
    whole = counted if at else root
    return TooMuch(excesses(whole, counted, at), len(orjson.dumps(whole)) - room)


def changes(step: Step, root: dict[str, Any], too_much: TooMuch) -> Iterator[tuple[str, str]]:
    """Do what a step can and should do, the heaviest first while it is bytes that are too many."""
    nodes = step.nodes(root)
    if too_much.bytes > 0 and not step.always:
        nodes.sort(key=lambda node: len(orjson.dumps(node.value)), reverse=True)
    gone: dict[Path, int] = {}
    for node in nodes:
        if _is_gone(node.path, gone) or not (step.always or step.helps(node, too_much)):
            continue
        weighs = too_much.bytes > 0 and not step.always
        before = len(orjson.dumps(node.value)) if weighs else 0
        yield step.change(node)
        gone[node.path] = step.bound if step.how == "items" else 0
        if weighs:
            after = len(orjson.dumps(node.value)) if step.how != "drop" else 0
            too_much.bytes -= before - after


def _is_gone(path: Path, gone: dict[Path, int]) -> bool:
    """Whether the place was inside something that was dropped or cut off before."""
    for depth in range(1, len(path)):
        kept = gone.get(path[:depth])
        after = path[depth]
        if kept is not None and not (isinstance(after, int) and after < kept):
            return True
    return False
