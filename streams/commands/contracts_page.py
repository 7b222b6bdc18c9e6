"""One readable page of every event: properties, types, examples, and where the rules send it. Pure."""

from collections.abc import Iterator, Mapping
from html import escape
from importlib.resources import files
from typing import Any, Final, NamedTuple

import orjson

from streams.commands.dry_run.rehearsal import rehearse
from streams.config import Config
from streams.config.fql import Condition
from streams.segment.contracts import expected
from streams.segment.tracking_plan import Level, TrackingPlan

ARRIVES: Final = 1_767_225_600_000
"""When the examples arrive, 2026-01-01: any time would do, the same one makes the same page."""
_HELD: Final[Mapping[Level | None, tuple[str, str]]] = {
    True: ("enforced", "breaking it is a dead letter"),
    "warn": ("warned", "breaking it is counted"),
    False: ("off", "not checked"),
    None: ("off", "not checked"),
}
_SAMPLES: Final[Mapping[str, Any]] = {"boolean": True, "int": 1, "long": 1, "float": 1.5, "double": 1.5}


class Property(NamedTuple):
    """One row of an event's table."""

    path: str
    type: str
    required: bool
    doc: str
    example: str


class Way(NamedTuple):
    """One request that the example event becomes, or a rule that may take such an event."""

    rule: str
    does: str
    accounts: str


def html(config: Config, plan: TrackingPlan) -> str:
    """The page."""
    style = files("streams.commands").joinpath("contracts_page.css").read_text(encoding="utf-8")
    events = plan.contracts.events
    body = "\n".join(_event(name, schema, config, plan) for name, schema in events.items())
    index = "".join(f'<li><a href="#{_anchor(name)}">{escape(name)}</a></li>' for name in events)
    unknown = {"allow": "let pass", "warn": "let pass and counted", "refuse": "refused"}[plan.unknown]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Events and their contracts</title><style>{style}</style></head><body>"
        f"<header><h1>Events and their contracts</h1><p>{len(events)} events have a contract. "
        f"A track without one is {unknown}.</p></header>"
        f'<nav aria-label="Events"><ul>{index}</ul></nav><main>{body or _NONE}</main></body></html>\n'
    )


_NONE: Final = "<p>There is no contract yet: <code>streams contracts learn --write FOLDER</code>.</p>"


def properties(schema: Mapping[str, Any], path: str = "") -> Iterator[Property]:
    """Every property of a record, those inside below the one that holds them."""
    for field in schema["fields"]:
        name = f"{path}{field.get('property', field['name'])}"
        example = "" if "example" not in field else orjson.dumps(field["example"]).decode()
        doc = str(field.get("doc", ""))
        yield Property(name, _type(field["type"]), "default" not in field, doc, example)
        for inner, suffix in _inside(field["type"]):
            yield from properties(inner, f"{name}{suffix}.")


def sample(schema: Any, field: Mapping[str, Any] | None = None) -> Any:
    """A value that keeps the contract, made of its examples as far as there are any."""
    if field is not None and "example" in field:
        return field["example"]
    if isinstance(schema, list):
        plain = [part for part in schema if part != "null"]
        return sample(plain[0]) if plain else None
    if isinstance(schema, str):
        return _SAMPLES.get(schema, None if schema == "null" else "example")
    kind = schema.get("type")
    if kind == "record":
        return {f.get("property", f["name"]): sample(f["type"], f) for f in schema["fields"]}
    if kind == "array":
        return [sample(schema["items"])]
    if kind == "map":
        return {"example": sample(schema["values"])}
    return next(iter(schema["symbols"]), None) if kind == "enum" else sample(kind)


def ways(event: str, schema: Mapping[str, Any], config: Config) -> Iterator[Way]:
    """Where an example of the event goes by each rule, and which other rules may take such an event."""
    message = {
        "type": "track",
        "event": event,
        "messageId": "example",
        "userId": "example",
        "properties": sample(schema),
        "context": {"traits": {"email": "someone@shop.example"}},
    }
    taken = {}
    for rule in config.rules:
        alone = config.model_copy(update={"rules": (rule,)})
        (answer,) = rehearse(alone, [orjson.dumps(message)], ARRIVES)
        if answer.matched_rules:
            taken[rule.name] = answer
            done: dict[str, list[str]] = {}
            for request in answer.requests:
                accounts = done.setdefault(_does(rule.do, request), [])
                if request["account"] not in accounts:
                    accounts.append(request["account"])
            for does, accounts in done.items():
                yield Way(rule.name, does, ", ".join(accounts))
            if not done:
                yield Way(rule.name, f"{rule.do}: needs more than the example has", "")
    for rule in config.rules:
        if rule.name not in taken and Condition(rule.when).might("track", event):
            everywhere = config.accounts if rule.accounts is None else rule.accounts
            yield Way(rule.name, f"{rule.do}, when {rule.when}", ", ".join(everywhere))


def _does(do: str, request: Mapping[str, Any]) -> str:
    if do == "event":
        metric = request["body"]["data"]["attributes"]["metric"]["data"]["attributes"]["name"]
        return f"metric {metric}"
    return f"{do}: {request['method']} {request['path']}"


def _event(name: str, schema: Mapping[str, Any], config: Config, plan: TrackingPlan) -> str:
    level, means = _HELD[plan.levels.get(name)]
    rows = "".join(_row(each) for each in properties(schema))
    going = "".join(
        f"<tr><td>{escape(way.rule)}</td><td>{escape(way.does)}</td><td>{escape(way.accounts)}</td></tr>"
        for way in ways(name, schema, config)
    )
    where = _table(("Rule", "Becomes", "Accounts"), going) if going else "<p>No rule takes it.</p>"
    badge = f'<span class="{level}" title="{means}">{level}</span>'
    return (
        f'<section id="{_anchor(name)}"><h2>{escape(name)} {badge}</h2>'
        f"<p>{escape(str(schema.get('doc', '')))}</p>"
        + (_table(("Property", "Type", "Must be there", "Example", "Meaning"), rows) if rows else "")
        + f"<h3>Where it goes</h3>{where}</section>"
    )


def _row(each: Property) -> str:
    example = f"<code>{escape(each.example)}</code>" if each.example else ""
    return (
        f"<tr><td><code>{escape(each.path)}</code></td><td>{escape(each.type)}</td>"
        f"<td>{'yes' if each.required else ''}</td><td>{example}</td><td>{escape(each.doc)}</td></tr>"
    )


def _table(heads: tuple[str, ...], rows: str) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    return f"<div><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"


def _type(schema: Any) -> str:
    """A type in words; null goes without saying beside others."""
    parts = schema if isinstance(schema, list) else [schema]
    return " or ".join(expected(part) for part in parts if part != "null" or len(parts) == 1)


def _inside(schema: Any) -> Iterator[tuple[Mapping[str, Any], str]]:
    """The records that a type holds, each with what its path has after the property's name."""
    for part in schema if isinstance(schema, list) else [schema]:
        if isinstance(part, Mapping) and part.get("type") == "record":
            yield part, ""
        elif isinstance(part, Mapping) and part.get("type") in ("array", "map"):
            suffix = "[]" if part["type"] == "array" else ".*"
            for inner, more in _inside(part.get("items", part.get("values"))):
                yield inner, suffix + more


def _anchor(name: str) -> str:
    return "event-" + "".join(c if c.isascii() and c.isalnum() else f"_{ord(c):x}_" for c in name)
