"""Messages, people and rules for tests of routing."""

from typing import Any

import orjson

from streams.config import loads
from streams.route.rules import Routed, Router, compile_rules
from streams.segment.envelope import Envelope, Origin, Profile

ACCOUNTS = """
accounts:
  acme: {klaviyo: {api_key: k1}, segment: {write_key: w1}}
sources: {web: {accounts: [acme]}}
"""
TWO = """
accounts:
  nl: {space: shop, klaviyo: {api_key: k1}}
  de: {space: shop, klaviyo: {api_key: k2}}
sources: {web: {accounts: [nl, de]}}
"""
PETER: Profile = {
    "id": "p1",
    "email": "peter@example.com",
    "phone": "+14155552671",
    "user_id": "97980cfea0067",
    "anonymous_ids": ["a1", "a2"],
}
ORIGIN: Origin = {
    "line": "events",
    "space": "acme",
    "partition": 1,
    "offset": 2,
    "accepted_at": 3,
    "replay": None,
}


def router(rules: str, accounts: str = ACCOUNTS) -> Router:
    return compile_rules(loads(f"{accounts}\nrules:\n{rules}", "pipeline.yaml", {}))


def envelope(message: dict[str, Any], space: str = "acme") -> Envelope:
    kind = str(message.get("type", "track"))
    name = message.get("event" if kind == "track" else "name")
    return Envelope(
        uid=b"0123456789abcdef",
        space=space,
        accepted_at=1,
        event_id="m1",
        type=kind,
        name=name if isinstance(name, str) else None,
        user_id=None,
        anonymous_id=None,
        email=None,
        phone=None,
        country=None,
        previous_id=None,
        time=1_767_225_600_000,
        source="web",
        trace_id="t",
        body=b"",
    )


def route(rules: Router, message: dict[str, Any], *, space: str = "acme", late: bool = False) -> Routed:
    return rules.route(message, envelope(message, space), PETER, ORIGIN, late)


def payloads(routed: Routed) -> list[dict[str, Any]]:
    return [orjson.loads(operation["payload"]) for _, _, operation in routed.operations]


EVERYTHING = router(
    """
  - {when: type = "identify" or type = "group", do: profile}
  - {when: type = "track" or type = "page" or type = "screen", do: event}
"""
)


def mapped(message: dict[str, Any]) -> dict[str, Any]:
    """The first payload that the templates give."""
    return payloads(route(EVERYTHING, message))[0]
