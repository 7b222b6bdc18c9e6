"""Holds calls against the official client that is installed beside this interpreter.

Stands alone, so that any version of the client can be asked in an environment of its own: calls come in as
JSON on stdin, ``{"calls", "errors"}``; on stdout goes ``{"version", "revision", "surface", "problems",
"answers"}``. The surface is, by endpoint and field, what the client says of everything that we send and read.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import json
import pkgutil
import re
import sys
import types
from datetime import datetime
from functools import cache
from importlib.metadata import version
from typing import Any, Union, get_args, get_origin

import openapi_client.api
import openapi_client.models
from klaviyo_api import KlaviyoAPI
from openapi_client.api_client import ApiClient
from pydantic import BaseModel

Surface = dict[str, dict[str, str]]


@cache
def endpoints() -> dict[tuple[str, str], Any]:
    """Method and path with ``{}`` for what varies → the client's function."""
    found = {}
    for module in pkgutil.iter_modules(openapi_client.api.__path__):
        if module.name == "client_api":
            continue  # browsers' calls
        api = importlib.import_module(f"openapi_client.api.{module.name}")
        for owner in (each for each in vars(api).values() if inspect.isclass(each)):
            for name, made in vars(owner).items():
                if not (name.startswith("_") and name.endswith("_serialize")):
                    continue
                source = inspect.getsource(made)
                method = re.search(r"method='(\w+)'", source)
                path = re.search(r"resource_path='([^']+)'", source)
                if method and path:
                    function = getattr(owner, name[1:].removesuffix("_serialize"))
                    found[method[1], re.sub(r"\{\w+\}", "{}", path[1])] = function, source
    return found


def hints(function: Any) -> dict[str, Any]:
    made = inspect.unwrap(function)
    made = getattr(made, "raw_function", made)
    return inspect.get_annotations(made, eval_str=True)


def plain(kind: Any) -> tuple[Any, bool]:
    """A type without Annotated and Optional, and whether it may be null."""
    nullable = False
    while True:
        origin = get_origin(kind)
        if hasattr(kind, "__metadata__"):
            kind = kind.__origin__
        elif origin in (Union, types.UnionType):
            rest = [each for each in get_args(kind) if each is not type(None)]
            nullable = nullable or len(rest) < len(get_args(kind))
            if len(rest) != 1:
                return Union[tuple(rest)], nullable  # noqa: UP007 - made of a list
            kind = rest[0]
        else:
            return kind, nullable


def named(kind: Any, values: bool) -> str:
    """A type in words; enumerations with their values where these are read."""
    kind, nullable = plain(kind)
    origin = get_origin(kind)
    if origin is Union:
        name = " or ".join(sorted(named(each, values) for each in get_args(kind)))
    elif origin in (list, dict):
        name = origin.__name__
    elif inspect.isclass(kind) and issubclass(kind, enum.Enum):
        listed = ",".join(sorted(str(each.value) for each in kind))
        name = f"one of {listed}" if values else "enumeration"
    elif inspect.isclass(kind) and issubclass(kind, BaseModel):
        name = "object"
    else:
        name = getattr(kind, "__name__", str(kind))
    return name + (" or null" if nullable else "")


class Walk:
    """Follows fields through models."""

    def __init__(self, endpoint: str, surface: dict[str, str], *, read: bool) -> None:
        self.endpoint, self.surface, self.read = endpoint, surface, read
        self.problems: list[str] = []

    def field(self, model: Any, name: str, path: str) -> Any:
        """The type of a model's field, noted; None if it has no such field."""
        fields = {(info.alias or each): info for each, info in model.model_fields.items()}
        if name not in fields:
            known = ", ".join(sorted(fields))
            self.problems.append(
                f"{self.endpoint}: {path} is not known to {model.__name__}, which has {known}"
            )
            return None
        info = fields[name]
        # "(required)" counts for what is sent; an answer is read as if anything could be missing
        required = " (required)" if info.is_required() and not self.read else ""
        self.surface[path] = named(info.annotation, self.read) + required
        return info.annotation

    def value(self, kind: Any, value: Any, path: str) -> None:
        """Follow a body as deep as models go."""
        kind, _ = plain(kind)
        if get_origin(kind) is list and isinstance(value, list):
            for each in value:
                self.value(get_args(kind)[0], each, f"{path}/*")
        elif inspect.isclass(kind) and issubclass(kind, BaseModel) and isinstance(value, dict):
            for name, inner in value.items():
                found = self.field(kind, name, f"{path}/{name}")
                if found is not None:
                    self.value(found, inner, f"{path}/{name}")

    def path(self, kind: Any, steps: list[str], path: str = "") -> None:
        """Follow one path of an answer."""
        kind, _ = plain(kind)
        if not steps:
            return
        if get_origin(kind) is list:
            self.path(get_args(kind)[0], steps[1:], f"{path}/*")
        elif inspect.isclass(kind) and issubclass(kind, BaseModel):
            here = f"{path}/{steps[0]}"
            found = self.field(kind, steps[0], here)
            if found is not None:
                self.path(found, steps[1:], here)
        elif steps:  # below an object of any form
            self.surface[f"{path}/{'/'.join(steps)}"] = f"inside {named(kind, values=False)}"


def lost(given: Any, again: Any, path: str = "") -> list[str]:
    """Keys and values that a round through the models did not keep; moments may be written another way."""
    if isinstance(given, dict) and isinstance(again, dict):
        found = [f"{path}/{name} is lost" for name in given if name not in again]
        both = [name for name in given if name in again]
        return found + [each for name in both for each in lost(given[name], again[name], f"{path}/{name}")]
    if isinstance(given, list) and isinstance(again, list) and len(given) == len(again):
        pairs = zip(given, again, strict=True)
        return [each for n, pair in enumerate(pairs) for each in lost(*pair, f"{path}/{n}")]
    if path.endswith(("/time", "/consented_at")):
        same = datetime.fromisoformat(given) == datetime.fromisoformat(again)
        return [] if same else [f"{path}: another moment"]
    return [] if given == again else [f"{path}: {given!r} became {again!r}"]


def limits(text: str) -> list[str]:
    """The rate limits that a function's description states."""
    found = re.findall(r"Burst: `(\d+)/s`<br>Steady: `(\d+)/m`", text or "")
    return sorted({f"{burst}/s {steady}/m" for burst, steady in found})


def models(function: Any) -> tuple[Any, Any]:
    """The model of the body and that of a 2xx answer, None where there is none."""
    kinds = [plain(kind)[0] for name, kind in hints(function).items() if name != "return"]
    bodies = [kind for kind in kinds if inspect.isclass(kind) and issubclass(kind, BaseModel)]
    made = inspect.unwrap(function)
    source = inspect.getsource(getattr(made, "raw_function", made))
    answer = re.search(r"'2\d\d': \"(\w+)\"", source)
    return (bodies[0] if bodies else None), (getattr(openapi_client.models, answer[1]) if answer else None)


def query(call: dict[str, Any], function: Any, source: str, surface: dict[str, str]) -> list[str]:
    """Parameters, fields of filters with their operators, and page sizes."""
    problems = []
    annotations = str(hints(function))
    for name, value in call["query"].items():
        if f"('{name}'," not in source:
            problems.append(f"{call['endpoint']}: no parameter {name}")
            continue
        surface[f"?{name}"] = "parameter"
        if name == "filter":
            allowed = hints(function)["filter"]
            words = str(getattr(allowed, "__metadata__", allowed))
            for operator, field in re.findall(r"([\w-]+)\(([\w.]+),", value):
                stated = re.search(rf"`{re.escape(field)}`: ([^<'\"]*)", words)
                if stated is None or f"`{operator}`" not in stated[1]:
                    problems.append(f"{call['endpoint']}: filter {operator}({field}) is not stated")
                else:
                    surface[f"?filter={operator}({field})"] = "stated"
        if name == "page[size]":
            most = re.search(r"Max: (\d+)", str(hints(function).get("page_size", annotations)))
            surface[f"?{name}"] = f"at most {most[1]}" if most else "parameter"
            if most and int(value) > int(most[1]):
                problems.append(f"{call['endpoint']}: a page of {value}, at most {most[1]}")
    return problems


def example(kind: Any) -> Any:
    """A document with each field that a model has."""
    kind, _ = plain(kind)
    if get_origin(kind) is list:
        return [example(get_args(kind)[0])]
    if inspect.isclass(kind) and issubclass(kind, BaseModel):
        return {(info.alias or name): example(info.annotation) for name, info in kind.model_fields.items()}
    if inspect.isclass(kind) and issubclass(kind, enum.Enum):
        return next(iter(kind)).value
    return None


def judge(call: dict[str, Any], known: dict[tuple[str, str], Any], surface: Surface) -> list[str]:
    """Problems of one call; what the client says of it goes into the surface."""
    endpoint = call["endpoint"]
    method, _, path = endpoint.partition(" ")
    if (method, re.sub(r"\{\w*\}", "{}", path)) not in known:
        return [f"{endpoint}: no such endpoint"]
    function, source = known[method, re.sub(r"\{\w*\}", "{}", path)]
    body_model, answer_model = models(function)
    shown = surface.setdefault(endpoint, {})
    stated = limits(inspect.getdoc(inspect.unwrap(function)) or "")
    shown["limits"] = ", ".join(stated)
    problems = query(call, function, source, shown)
    if call["limit"] and call["limit"] not in stated:
        problems.append(f"{endpoint}: our budget is {call['limit']}, stated are {', '.join(stated)}")
    body = call["body"]
    if body is not None and body_model is not None:
        sent: dict[str, str] = {}
        walk = Walk(endpoint, sent, read=False)
        walk.value(body_model, body, "")
        problems += walk.problems
        shown.update({f"send {name}": kind for name, kind in sent.items()})
        try:
            again = ApiClient().sanitize_for_serialization(body_model.from_dict(body))
            problems += [f"{endpoint}: {each}" for each in lost(body, json.loads(json.dumps(again)))]
        except ValueError as refused:
            problems.append(f"{endpoint}: refused: {refused}")
    elif body is not None:
        problems.append(f"{endpoint}: takes no body")
    for field in call["reads"]:
        if answer_model is None:
            problems.append(f"{endpoint}: has no answer to read {field} from")
            continue
        read: dict[str, str] = {}
        walk = Walk(endpoint, read, read=True)
        walk.path(answer_model, field.strip("/").split("/"))
        problems += walk.problems
        shown.update({f"read {name}": kind for name, kind in read.items()})
    return problems


def main(given: dict[str, Any]) -> dict[str, Any]:
    """Judge all calls."""
    known = endpoints()
    surface: Surface = {}
    problems = [each for call in given["calls"] for each in judge(call, known, surface)]
    errors: dict[str, str] = {}
    walk = Walk("any error", errors, read=True)
    for field in given["errors"]:
        walk.path(openapi_client.models.GetAccounts4XXResponse, field.strip("/").split("/"))
    answers = {}
    for call in given["calls"]:
        method, _, path = call["endpoint"].partition(" ")
        if call["reads"] and (method, path) in known:
            answers[call["endpoint"]] = example(models(known[method, path][0])[1])
    surface["any error"] = {f"read {name}": kind for name, kind in errors.items()}
    return {
        "version": version("klaviyo-api"),
        "revision": KlaviyoAPI._REVISION,
        "surface": surface,
        "answers": answers,
        "problems": sorted(set(problems + walk.problems)),
    }


if __name__ == "__main__":
    json.dump(main(json.load(sys.stdin)), sys.stdout)
