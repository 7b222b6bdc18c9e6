"""Rules that make profiles: the template's attributes, the rule's fields over them, patches beside them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from streams.config.paths import MISSING
from streams.config.rule import Rule
from streams.route.classic import classic_traits
from streams.route.events import reshaped
from streams.route.fields import Getter, compile_fields
from streams.route.traits import Attributes, attribute_of, map_traits
from streams.segment.envelope import Profile

Template = Callable[[Mapping[str, Any], Profile, list[str]], Attributes]
_TOP = frozenset(("first_name", "last_name", "organization", "locale", "title", "image"))
_PATCHES = ("append", "unappend", "set_once")


def _none(message: Mapping[str, Any], profile: Profile, unmapped: list[str]) -> Attributes:
    """Template ``none``: only what the rule says."""
    return Attributes()


_TEMPLATES: dict[str | None, Template] = {
    None: map_traits,
    "segment.traits": map_traits,
    "segment.classic": classic_traits,
}


@dataclass(frozen=True, slots=True)
class ProfileRule:
    """A compiled rule of ``do: profile``."""

    template: Template
    fields: tuple[tuple[str, Getter | None], ...]
    rename: tuple[tuple[str, str], ...]
    drop: tuple[str, ...]
    flatten: bool
    patches: tuple[tuple[str, tuple[tuple[str, Getter | None], ...]], ...]
    unset: tuple[str, ...]

    def payload(self, message: Mapping[str, Any], profile: Profile, unmapped: list[str]) -> dict[str, Any]:
        """A profile operation's payload; its attributes may be none: the person is made all the same."""
        found = self.template(message, profile, unmapped)
        for target, getter in self.fields:
            self._put(
                found, target, getter(message, unmapped) if getter else MISSING, unmapped, drop=not getter
            )
        if self.rename or self.drop or self.flatten:
            self._reshape(found)
        self._not_replaced(found.properties)
        made: dict[str, Any] = {"attributes": found.result()}
        if patch := self._patch(message, unmapped):
            made["patch"] = patch
        return made

    def _reshape(self, found: Attributes) -> None:
        """What is dropped or renamed may be an attribute, by Klaviyo's name or Segment's."""
        found.properties = reshaped(found.properties, self.rename, self.drop, flatten=self.flatten)
        for name in self.drop:
            found.take(self._attribute(name))
        for old, new in self.rename:
            value = found.take(self._attribute(old))
            if value is not MISSING:
                found.properties.setdefault(new, value)

    def _attribute(self, name: str) -> str:
        """An attribute that a field of the rule makes is gone by its own name only, not by its trait's."""
        target = name if self.template is _none else attribute_of(name)
        return name if any(target == own for own, _ in self.fields) else target

    def _not_replaced(self, properties: dict[str, Any]) -> None:
        """What is patched is not replaced as well, unless a field of the rule says so; null still clears."""
        own = {target.removeprefix("properties.") for target, _ in self.fields}
        for operation, fields in self.patches:
            for name in {name for name, _ in fields} - own:
                if operation == "set_once" or properties.get(name) is not None:
                    properties.pop(name, None)

    @staticmethod
    def _put(found: Attributes, target: str, value: Any, unmapped: list[str], *, drop: bool) -> None:
        group, name = found.properties, target.removeprefix("properties.")
        if target in _TOP:
            group = found.top
        elif target.startswith("location."):
            group, name = found.location, target[9:]
        if drop:
            group.pop(name, None)
        elif value is not MISSING and group is found.properties:
            group[name] = value
        elif value is not MISSING:
            before = group.pop(name, MISSING)
            if not found.set(target, value):
                unmapped.append(target)
                if before is not MISSING:
                    group[name] = before

    def _patch(self, message: Mapping[str, Any], unmapped: list[str]) -> dict[str, Any]:
        patch: dict[str, Any] = {}
        for operation, fields in self.patches:
            values = {name: get(message, unmapped) for name, get in fields if get}
            values = {
                name: value for name, value in values.items() if value is not MISSING and value is not None
            }
            if values:
                patch[operation] = values
        if self.unset:
            patch["unset"] = list(self.unset)
        return patch


def compile_profile(rule: Rule) -> ProfileRule:
    """The rule as a function of messages."""
    given = {operation: compile_fields(getattr(rule.patch, operation)) for operation in _PATCHES}
    return ProfileRule(
        template=_TEMPLATES.get(rule.template, _none),
        fields=compile_fields(rule.fields),
        rename=tuple(rule.rename.items()),
        drop=rule.drop,
        flatten=rule.flatten,
        patches=tuple((operation, fields) for operation, fields in given.items() if fields),
        unset=rule.patch.unset,
    )
