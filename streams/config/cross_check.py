"""What no single value can tell: names that must be somewhere else in the file, and secrets used twice."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from streams.config.problems import Problem, nearest
from streams.config.rule import TEMPLATES, USED
from streams.config.source_text import Path, SourceText

_LOCATION = (
    "address1", "address2", "city", "region", "zip", "country", "latitude", "longitude", "timezone", "ip",
)  # fmt: skip
_MONEY = (
    ("value", re.compile(r"[+-]?\d*\.?\d+(e[+-]?\d+)?", re.IGNORECASE), "number", "12.5"),
    ("value_currency", re.compile("[A-Za-z]{3}"), "currency of ISO 4217", "EUR"),
)
_WHOSE = ("email", "phone", "phone_number", "external_id", "userId")
"""Of a profile: neither attributes nor properties, so that dropping them would do nothing."""


def cross_check(values: Mapping[str, Any], source: SourceText) -> Iterator[Problem]:
    """Problems between the parts of a file; parts of the wrong type are left to their own check."""
    accounts, sources, rules = values.get("accounts"), values.get("sources"), values.get("rules")
    named = dict(enumerate(rules)) if isinstance(rules, list) else {}
    if isinstance(accounts, dict):
        yield from _unknown_accounts("sources", sources, accounts, source)
        yield from _unknown_accounts("rules", named, accounts, source)
        yield from _shared("accounts", accounts, ("klaviyo", "api_key"), "a budget of its own", source)
    yield from _shared("sources", sources, ("write_key",), "one write key for each source", source)
    seen: dict[str, int] = {}
    for index, rule in named.items():
        name = rule.get("name") if isinstance(rule, dict) else None
        if isinstance(name, str) and seen.setdefault(name, index) != index:
            place = ("rules", index, "name")
            yield source.problem(place, f"rule {seen[name] + 1} is called {name!r} too", "another name")
        yield from _unused(index, rule, source)


def _unknown_accounts(
    group: str, members: Any, accounts: Mapping[str, Any], source: SourceText
) -> Iterator[Problem]:
    for key, member in members.items() if isinstance(members, dict) else ():
        for index, name in _each(member, ("accounts",)):
            if name not in accounts:
                write = nearest(str(name), map(str, accounts))
                place = (group, key, "accounts", index)
                yield source.problem(place, f"there is no account {name!r}", write)


def _unused(index: int, rule: Any, source: SourceText) -> Iterator[Problem]:
    """Keys of a rule that its ``do`` never looks at, and templates of another ``do``."""
    do = rule.get("do") if isinstance(rule, dict) else None
    if not isinstance(do, str) or do not in USED:
        return
    every = {name for names in USED.values() for name in names}
    for name in rule:
        if name in every and name not in USED[do]:
            fits = ", ".join(other for other, names in USED.items() if name in names)
            said = f"do: {do} doesn't look at {name}"
            yield source.problem(("rules", index, name), said, f"do: {fits}; or leave it out", at_key=True)
    if do == "profile":
        yield from _no_attributes(index, rule, source)
    if do == "event":
        yield from _no_money(index, rule, source)
    template = rule.get("template")
    if "template" in USED[do] and template is not None and template not in TEMPLATES[do]:
        said = f"{template!r} is no template of do: {do}"
        yield source.problem(("rules", index, "template"), said, nearest(str(template), TEMPLATES[do]))


def _no_attributes(index: int, rule: Mapping[str, Any], source: SourceText) -> Iterator[Problem]:
    """What a profile has no place for, and what it can't be without."""
    for place, name in _each(rule, ("drop",)):
        if name in _WHOSE:
            said = f"{name} tells whose the profile is, and goes with it always"
            where = ("rules", index, "drop", place)
            yield source.problem(where, said, "nothing; identity.blocked for those that stand for nobody")
    fields = rule.get("fields")
    for name in fields if isinstance(fields, dict) else ():
        if isinstance(name, str) and name.startswith("location.") and name[9:] not in _LOCATION:
            write = "location." + nearest(name[9:], _LOCATION)
            said = f"Klaviyo's profiles have no {name}"
            yield source.problem(("rules", index, "fields", name), said, write, at_key=True)


def _no_money(index: int, rule: Mapping[str, Any], source: SourceText) -> Iterator[Problem]:
    """Constants of an event's value that would be left out of each event."""
    fields = rule.get("fields")
    if not isinstance(fields, dict):
        return
    for name, pattern, what, write in _MONEY:
        given = fields.get(name)
        constant = given.get("constant") if isinstance(given, dict) else given
        if isinstance(constant, bool) or not isinstance(constant, str | int | float):
            continue
        if not str(constant).startswith("$") and not pattern.fullmatch(str(constant).strip()):
            yield source.problem(("rules", index, "fields", name), f"{constant!r} is no {what}", write)


def _shared(
    group: str, members: Any, path: tuple[str, ...], write: str, source: SourceText
) -> Iterator[Problem]:
    """Two members with one secret: calls could not be told apart, budgets would be spent twice."""
    owner: dict[str, Any] = {}
    for key, member in members.items() if isinstance(members, dict) else ():
        for _, secret in _each(member, path):
            if owner.setdefault(secret, key) != key:
                said = f"{group}.{key} and {group}.{owner[secret]} have the same {path[-1]}"
                yield source.problem((group, key, *path), said, write)


def _each(member: Any, path: Path) -> Iterator[tuple[int, str]]:
    """The texts at a path inside a member, one or a list of them."""
    for part in path:
        member = member.get(part) if isinstance(member, dict) else None
    several = member if isinstance(member, list) else [member]
    yield from ((index, text) for index, text in enumerate(several) if isinstance(text, str))
