"""Reading ``pipeline.yaml``: whole, once, with every error at its line."""

from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from streams.config.contracts import Contracts, Held
from streams.config.cross_check import cross_check
from streams.config.model import Account, Config, Source
from streams.config.overrides import Overridden, override
from streams.config.problems import ConfigError, Problem, nearest
from streams.config.rule import FieldMap, Patch, Rule
from streams.config.show import DERIVED
from streams.config.source_text import Path as Place
from streams.config.source_text import SourceText, parse


def load(path: str | PathLike[str], environ: Mapping[str, str]) -> Config:
    """The checked configuration.

    Raises:
        ConfigError: with every problem of the file and the environment.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError([Problem(str(path), 0, 0, "there is no such file", "streams init")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(str(path), 0, 0, f"can't be read: {error}", "a file in UTF-8")]) from None
    return loads(text, str(path), environ)


def loads(text: str, file: str, environ: Mapping[str, str]) -> Config:
    """Like ``load``, of a text; ``file`` is the name for messages."""
    source = parse(text, file, environ)
    if source.values is None and source.problems:
        raise ConfigError(source.problems)
    if not isinstance(source.values, dict):
        raise ConfigError(
            [Problem(file, 1, 1, "the file has no sections", "accounts: …, sources: …, rules: …")]
        )
    given = override(source.values, environ, source.named)
    problems = [*given.problems, *source.problems, *cross_check(given.values, source)]
    problems += _written_derived(source)
    config = None
    try:
        config = Config.model_validate(_with_lines(given.values, source))
    except ValidationError as error:
        taken = {(p.line, p.column) for p in problems if p.line}
        found = (_found(details, source, given) for details in error.errors(include_url=False))
        problems += [p for p in found if p and (not p.line or (p.line, p.column) not in taken)]
    if config is None or problems:
        raise ConfigError(sorted(dict.fromkeys(problems), key=lambda p: (p.line, p.column, p.message)))
    return config


def check(path: str | PathLike[str], environ: Mapping[str, str]) -> list[Problem]:
    """Every problem of a file; none = it can be used."""
    try:
        load(path, environ)
    except ConfigError as error:
        return list(error.problems)
    return []


def _with_lines(values: dict[str, Any], source: SourceText) -> dict[str, Any]:
    rules = values.get("rules")
    if not isinstance(rules, list):
        return values
    numbered = [
        {"name": f"rule {i + 1}"} | rule | {"line": source.place(("rules", i))[0]}
        if isinstance(rule, dict)
        else rule
        for i, rule in enumerate(rules)
    ]
    return values | {"rules": numbered}


def _written_derived(source: SourceText) -> Iterator[Problem]:
    for group, names in DERIVED.items():
        members = source.values.get(group)
        pairs = members.items() if isinstance(members, dict) else enumerate(members or ())
        for key, member in pairs if isinstance(members, dict | list) else ():
            for name in names:
                if isinstance(member, dict) and name in member:
                    place = (group, key, name)
                    yield source.problem(place, f"{name} is derived, not written", "nothing", at_key=True)


def _found(error: ErrorDetails, source: SourceText, given: Overridden) -> Problem | None:
    """The problem behind pydantic's error; None where another one says it already."""
    place, kind = tuple(error["loc"]), error["type"]
    if kind == "too_short" and error["input"]:
        return None  # a list whose members are wrong is reported as empty, too
    for length in range(1, len(place) + 1):
        if variable := given.by.get(place[:length]):
            return Problem("environment", 0, 0, f"{variable}: {error['msg']}", _example(place[:length]))
    if kind not in ("missing", "extra_forbidden") and place[-1] != "[key]" and not source.has(place):
        return None  # a derived value: what it comes from is reported
    return _translate(error, source)


def _translate(error: ErrorDetails, source: SourceText) -> Problem:
    place, kind = tuple(error["loc"]), error["type"]
    name = ".".join(str(part) for part in place)
    context = error.get("ctx", {})
    if place[-1] == "[key]":
        return source.problem(place[:-1], f"{name[:-6]}: {error['msg']}", "acme", at_key=True)
    if kind == "extra_forbidden":
        known = _known_keys(place[:-1])
        return source.problem(
            place, f"unknown key {place[-1]!r}", nearest(str(place[-1]), known), at_key=True
        )
    if kind == "missing":
        write = _SECTIONS.get(place, f"{place[-1]}: [NAME]" if place[-1] == "accounts" else f"{place[-1]}: …")
        return source.problem(place[:-1], f"{name} is missing", write)
    if kind == "literal_error":
        given, allowed = (
            error["input"],
            [_yaml(a.strip(" '")) for a in str(context["expected"]).replace(" or ", ",").split(",")],
        )
        return source.problem(place, f"{name}: {given!r} is not known", nearest(str(given), allowed))
    if kind in _FORMS:
        said, write = _FORMS[kind]
        known = _known_keys(place) if kind in ("dict_type", "model_type") else []
        write = _SECTIONS.get(place) or (
            f"{{{', '.join(f'{key}: …' for key in known[:3])}}}" if known else _example(place) or write
        )
        at_key = error["input"] is None  # the value of a key without one is nowhere
        return source.problem(place, f"{name} {said}", write, at_key=at_key)
    write = str(context.get("write", "")) or _example(place)
    if kind in ("too_long", "too_short"):
        bound = (
            f"at most {context['max_length']}" if kind == "too_long" else f"at least {context['min_length']}"
        )
        return source.problem(place, f"{name} takes {bound}", write)
    if kind == "fql":
        line, column = source.inside(place, context["line"], context["column"])
        return Problem(source.file, line, column, f"{name}: {error['msg']}", write)
    return source.problem(place, f"{name}: {error['msg']}", write)


_SECTIONS: dict[Place, str] = {
    ("accounts",): "accounts: {NAME: {klaviyo: {api_key: ${KEY}}}}",
    ("sources",): "sources: {web: {accounts: [NAME], write_key: ${WRITE_KEY}}}",
    ("rules",): 'rules: [{when: type = "identify", do: profile}]',
}
"""The sections that every file has, the least that may stand there."""
_FORMS = {
    "dict_type": ("takes keys with values", "{name: value}"),
    "model_type": ("takes keys with values", "{name: value}"),
    "tuple_type": ("takes a list", "[…, …]"),
    "string_type": ("takes a text", "quotes around it"),
    "path_type": ("takes a path", "/srv/streams"),
    "bool_type": ("takes true or false", "true"),
    "bool_parsing": ("takes true or false", "true"),
}
"""Kind of error → what is wanted there, and what to write where nothing better is known."""


def _yaml(value: object) -> str:
    return {"True": "true", "False": "false", "None": "null"}.get(str(value), str(value))


_MEMBERS: dict[tuple[type[BaseModel] | None, str | int], type[BaseModel]] = {
    (Rule, "fields"): FieldMap,
    (Contracts, "events"): Held,
}
"""Model and key → the model of what stands there under names of the user's own."""


def _model_at(place: Place) -> type[BaseModel] | None:
    """The model whose keys stand at a path."""
    models: dict[str, type[BaseModel]] = {"accounts": Account, "sources": Source, "rules": Rule}
    model: type[BaseModel] | None = Config
    skip = False
    for part in place:
        if skip or (isinstance(part, int) and model is not None):
            skip = False
            continue
        if model is Config and part in models:
            model, skip = models[str(part)], True
            continue
        if (model, part) in _MEMBERS:
            model, skip = _MEMBERS[model, str(part)], True
            continue
        if model is Patch:
            model, skip = FieldMap, True
            continue
        info = model.model_fields.get(str(part)) if model else None
        options = [] if info is None else [info.annotation, *getattr(info.annotation, "__args__", ())]
        model = next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), None)
    return model


def _known_keys(place: Place) -> list[str]:
    model = _model_at(place)
    if model is None:
        return []
    derived = DERIVED.get(str(place[0]), ()) if len(place) == 2 else ()
    return [info.alias or name for name, info in model.model_fields.items() if name not in derived]


def _example(place: Place) -> str:
    model = _model_at(place[:-1])
    info = model.model_fields.get(str(place[-1])) if model else None
    if info is None:
        return ""
    if info.examples:
        return str(info.examples[0])
    default = info.get_default(call_default_factory=True) if not info.is_required() else None
    return _yaml(default) if isinstance(default, str | int | float) and default != "" else ""
