"""Shapes of request bodies: each spec checks a value and adds what is wrong with it to a list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Union

from streams.simulators.klaviyo import rules
from streams.simulators.klaviyo.errors import Problem

Problems = list[Problem]
Path = Union[str, "tuple[Path, str | int]"]
"""A pointer, or a path and the next name in it: written out only for what is wrong."""


class Spec(Protocol):
    """One shape; `at` says where the value stands."""

    def check(self, value: Any, at: Path, out: Problems) -> None:
        """Add a problem to `out` for everything wrong with `value`."""


@dataclass(frozen=True, slots=True)
class Text:
    """A string or null, checked further by `rule`, which answers with what is wrong."""

    rule: rules.TextRule | None = None

    def check(self, value: Any, at: Path, out: Problems) -> None:
        """Check one string."""
        if value is None:
            return
        if not isinstance(value, str):
            out.append(Problem(f"'{_name(at)}' must be a string.", pointer(at)))
        elif rules.is_long(value):
            out.append(Problem("A single string cannot exceed 100KB.", pointer(at)))
        elif self.rule is not None:
            wrong = self.rule(value)
            if wrong:
                out.append(Problem(wrong, pointer(at)))


@dataclass(frozen=True, slots=True)
class Const:
    """A fixed string, such as a resource's type."""

    values: tuple[str, ...]

    def check(self, value: Any, at: Path, out: Problems) -> None:
        """Check one constant."""
        if value is not None and value not in self.values:
            allowed = ", ".join(f"'{known}'" for known in self.values)
            out.append(
                Problem(f"'{value}' is not a valid value for '{_name(at)}'; use {allowed}.", pointer(at))
            )


@dataclass(frozen=True, slots=True)
class Number:
    """A number or null."""

    or_text: bool = False

    def check(self, value: Any, at: Path, out: Problems) -> None:
        """Check one number."""
        if value is None or (self.or_text and isinstance(value, str)):
            return
        if isinstance(value, bool) or not isinstance(value, int | float):
            out.append(Problem(f"'{_name(at)}' must be a number.", pointer(at)))


@dataclass(frozen=True, slots=True)
class Flag:
    """A boolean or null."""

    def check(self, value: Any, at: Path, out: Problems) -> None:
        """Check one boolean."""
        if value is not None and not isinstance(value, bool):
            out.append(Problem(f"'{_name(at)}' must be a boolean.", pointer(at)))


@dataclass(frozen=True, slots=True)
class Free:
    """A free object; at most `most` keys at its top where that is given."""

    most: int | None = None

    def check(self, value: Any, at: Path, out: Problems) -> None:
        """Check one free object."""
        if value is None:
            return
        if not isinstance(value, dict):
            out.append(Problem(f"'{_name(at)}' must be an object.", pointer(at)))
            return
        if self.most is not None and len(value) > self.most:
            out.append(Problem(f"'{_name(at)}' cannot have more than {self.most} properties.", pointer(at)))
            return
        wrong = rules.wrong_in(value)
        if wrong:
            out.append(Problem(wrong[1], pointer(at) + wrong[0]))


@dataclass(frozen=True, slots=True)
class OneOf:
    """Text, or a list of texts."""

    def check(self, value: Any, at: Path, out: Problems) -> None:
        """Check one text or list of texts."""
        texts = value if isinstance(value, list) else [value]
        if value is not None and not all(isinstance(text, str) for text in texts):
            out.append(Problem(f"'{_name(at)}' must be a string or an array of strings.", pointer(at)))


@dataclass(frozen=True, slots=True)
class Array:
    """A list of one shape, at most `most` long."""

    items: Spec
    most: int | None = None
    what: str = "items"

    def check(self, value: Any, at: Path, out: Problems) -> None:
        """Check one list."""
        if not isinstance(value, list):
            out.append(Problem(f"'{_name(at)}' must be an array.", pointer(at)))
            return
        if not value:
            out.append(Problem(f"'{_name(at)}' must not be empty.", pointer(at)))
        if self.most is not None and len(value) > self.most:
            out.append(
                Problem(f"The request has {len(value)} {self.what}; the limit is {self.most}.", pointer(at))
            )
            return
        check = self.items.check
        for index, item in enumerate(value):
            check(item, (at, index), out)


@dataclass(frozen=True, slots=True)
class Obj:
    """An object of known fields; others are refused in the name of `resource`."""

    resource: str
    fields: Mapping[str, Spec]
    required: tuple[str, ...] = ()
    nullable: bool = False

    def check(self, value: Any, at: Path, out: Problems) -> None:
        """Check one object."""
        if value is None and self.nullable:
            return
        if not isinstance(value, dict):
            out.append(Problem(f"'{_name(at)}' must be an object.", pointer(at)))
            return
        fields = self.fields
        for name, given in value.items():
            spec = fields.get(name)
            if spec is None:
                detail = f"'{name}' is not a valid field for the resource '{self.resource}'."
                out.append(Problem(detail, pointer((at, name))))
            elif given is not None or name not in self.required:
                spec.check(given, (at, name), out)
        for name in self.required:
            if value.get(name) is None:
                detail = f"'{name}' is a required field for the resource '{self.resource}'."
                out.append(Problem(detail, pointer((at, name))))


def resource(kind: str, fields: Mapping[str, Spec], required: tuple[str, ...] = ()) -> Obj:
    """Return the shape of a JSON:API resource object of type `kind`."""
    return Obj(kind, {"type": Const((kind,)), **fields}, ("type", *required))


def holder(kind: str, data: Spec) -> Obj:
    """Return the shape of `{"data": …}`."""
    return Obj(kind, {"data": data}, ("data",))


def pointer(at: Path) -> str:
    """Write a path as a JSON pointer."""
    return at if isinstance(at, str) else f"{pointer(at[0])}/{at[1]}"


def _name(at: Path) -> str:
    return at.rsplit("/", 1)[-1] if isinstance(at, str) else str(at[1])
