"""``STREAMS_…`` environment variables that override the file."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from streams.config.model import Account, Config, Source
from streams.config.problems import Problem, nearest

_SECTIONS = {
    name: info.annotation
    for name, info in Config.model_fields.items()
    if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)
}
_PLAIN = ("prefix", "data", "partitions", "replication", "min_insync")


@dataclass(slots=True)
class Overridden:
    """The file's values with the environment's over them."""

    values: dict[str, Any]
    by: dict[tuple[str | int, ...], str] = field(default_factory=dict)
    """Path → the variable that set it."""
    problems: list[Problem] = field(default_factory=list)
    """Variables that fit nothing."""


def override(values: dict[str, Any], environ: Mapping[str, str]) -> Overridden:
    """Put the environment's values over the file's.

    ``STREAMS_KAFKA_BOOTSTRAP`` is ``kafka.bootstrap``, ``STREAMS_ACCOUNTS_ACME_KLAVIYO_URL`` is
    ``accounts.acme.klaviyo.url``, for the accounts and sources that the file has.
    """
    known = {"STREAMS_" + "_".join(path).upper().replace("-", "_"): path for path in _paths(values)}
    ours = tuple(f"STREAMS_{name.upper()}_" for name in (*_SECTIONS, "accounts", "sources"))
    found = Overridden(values)
    for variable in sorted(environ):
        if variable in known:
            found.values = _with(found.values, known[variable], environ[variable])
            found.by[known[variable]] = variable
        elif variable.startswith(ours):
            message = f"environment variable {variable} overrides nothing"
            found.problems.append(Problem("environment", 0, 0, message, nearest(variable, known)))
    return found


def _paths(values: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    yield from ((name,) for name in _PLAIN)
    for name, model in _SECTIONS.items():
        yield from _fields(model, (name,))
    for group, model in (("accounts", Account), ("sources", Source)):
        members = values.get(group)
        for member in members if isinstance(members, dict) else ():
            yield from _fields(model, (group, str(member)))


def _fields(model: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name, info in model.model_fields.items():
        inner = next((a for a in _candidates(info.annotation) if issubclass(a, BaseModel)), None)
        if inner is not None:
            yield from _fields(inner, (*path, name))
        else:
            yield (*path, info.alias or name)


def _candidates(annotation: Any) -> Iterator[type]:
    for candidate in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(candidate, type):
            yield candidate


def _with(values: Mapping[str, Any], path: tuple[str, ...], value: str) -> dict[str, Any]:
    head, *rest = path
    if not rest:
        return {**values, head: value}
    inner = values.get(head)
    return {**values, head: _with(inner if isinstance(inner, dict) else {}, tuple(rest), value)}
