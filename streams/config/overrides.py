"""``STREAMS_…`` environment variables that override the file."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, get_origin

from pydantic import BaseModel

from streams.config.model import Account, Config, Source
from streams.config.payload import Payload
from streams.config.problems import Problem, closest

_SECTIONS = {
    name: info.annotation
    for name, info in Config.model_fields.items()
    if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)
}
_PLAIN = ("prefix", "data", "partitions", "replication", "min_insync")
_LISTS: Final = frozenset(("accounts", "forward", "blocked"))
"""Lists of names."""
_START: Final = "STREAMS_"
OWN: Final = frozenset({"STREAMS_LOG", "STREAMS_PARENT_PIPE", "STREAMS_LOCAL"})
"""Read elsewhere: the log's level, the supervisor's pipe, where the local stack lies."""
TESTS: Final = "STREAMS_TEST_"
_SERVICE_LINK = re.compile(
    r"STREAMS_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)"
)
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://")


@dataclass(slots=True)
class Overridden:
    """The file's values with the environment's over them."""

    values: dict[str, Any]
    by: dict[tuple[str | int, ...], str] = field(default_factory=dict)
    """Path → the variable that set it."""
    problems: list[Problem] = field(default_factory=list)
    """Variables that fit nothing."""


def override(values: dict[str, Any], environ: Mapping[str, str], named: Collection[str] = ()) -> Overridden:
    """Put the environment's values over the file's.

    ``STREAMS_KAFKA_BOOTSTRAP`` is ``kafka.bootstrap``, ``STREAMS_ACCOUNTS_ACME_KLAVIYO_URL`` is
    ``accounts.acme.klaviyo.url``, for the accounts and sources that the file has. A variable that sets
    nothing is a problem: a setting that is silently ignored does harm later, and elsewhere. Names in lists
    have commas between them; what is neither a value nor a list of names is set in the file only.

    Args:
        values: the file's.
        environ: the environment.
        named: variables that the file itself refers to as ``${NAME}``.
    """
    known = {_START + "_".join(path).upper().replace("-", "_"): path for path in _paths(values)}
    found = Overridden(values)
    for variable in sorted(environ):
        if not variable.startswith(_START) or _others(variable, environ[variable]) or variable in named:
            continue
        if variable in known:
            path, value = known[variable], environ[variable]
            given = _listed(value) if path[-1] in _LISTS else value
            found.values = _with(found.values, path, given)
            found.by[known[variable]] = variable
        else:
            like = closest(variable.removeprefix(_START), (name.removeprefix(_START) for name in known))
            write = _START + like if like else "nothing: unset it (`streams config show` has all settings)"
            message = f"environment variable {variable} is no setting"
            found.problems.append(Problem("environment", 0, 0, message, write))
    return found


def _others(variable: str, value: str) -> bool:
    """Whether a variable is meant for others.

    Kubernetes tells each pod of every service beside it: one named streams-gateway gives
    ``STREAMS_GATEWAY_PORT=tcp://…``, which is no port of ours.
    """
    if variable in OWN or variable.startswith(TESTS):
        return True
    link = _SERVICE_LINK.fullmatch(variable)
    return link is not None and (not variable.endswith("_PORT") or bool(_SERVICE_ADDRESS.match(value)))


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
        if get_origin(info.annotation) is dict or (name == "slim" and model is Payload):
            continue
        inner = next((a for a in _candidates(info.annotation) if issubclass(a, BaseModel)), None)
        if inner is not None:
            yield from _fields(inner, (*path, name))
        else:
            yield (*path, info.alias or name)


def _listed(value: str) -> list[str]:
    return [name for each in value.split(",") if (name := each.strip())]


def _candidates(annotation: Any) -> Iterator[type]:
    for candidate in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(candidate, type):
            yield candidate


def _with(values: Mapping[str, Any], path: tuple[str, ...], value: str | list[str]) -> dict[str, Any]:
    head, *rest = path
    if not rest:
        return {**values, head: value}
    inner = values.get(head)
    return {**values, head: _with(inner if isinstance(inner, dict) else {}, tuple(rest), value)}
