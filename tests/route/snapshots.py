"""Examples, and what the templates make of them; run as a module it writes the files of what is expected."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from streams.route.rules import Router
from tests.route.sample import payloads, route, router

_HERE = Path(__file__).parent


def _rules(profile: str, event: str) -> Router:
    return router(f"""
  - {{when: type = "identify" or type = "group", do: profile, template: {profile}}}
  - {{when: type != "identify" and type != "group", do: event, template: {event}}}
""")


_ROUTERS = {
    "shipped": _rules("segment.traits", "ecommerce.v2"),
    "classic": _rules("segment.classic", "segment.classic"),
    "track": _rules("segment.traits", "track"),
}
_TEMPLATES = {"classic": ("classic",), "dirt": ("shipped", "classic"), "track": ("track",)}
"""Of each file, the templates whose output it holds."""


def _lines(name: str) -> list[Any]:
    return [json.loads(line) for line in (_HERE / name).read_text().splitlines()]


ECOMMERCE: list[dict[str, Any]] = [{"type": "track", **each} for each in _lines("ecommerce_examples.jsonl")]
"""The specification's examples."""


def examples(name: str) -> Sequence[dict[str, Any]]:
    """The messages whose output a file holds."""
    return _lines("dirt_examples.jsonl") if name == "dirt" else ECOMMERCE


def expected(name: str) -> list[dict[str, Any]]:
    """The file's lines."""
    return _lines(f"{name}_expected.jsonl")


def made(name: str, messages: Sequence[dict[str, Any]] = ()) -> list[dict[str, Any]]:
    """What the templates make now, in the form of the file."""
    return [_made(each, _TEMPLATES[name]) for each in messages or examples(name)]


def _made(message: dict[str, Any], templates: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {"of": message.get("event") or message["type"]}
    for template in templates:
        routed = route(_ROUTERS[template], message)
        refused = [detail for _, _, detail in routed.refusals]
        found[template] = {"sent": payloads(routed), "unmapped": routed.unmapped}
        found[template] |= {"refused": refused} if refused else {}
    return found


if __name__ == "__main__":
    for file in ("classic", "dirt"):
        rows = [json.dumps(each, ensure_ascii=False) for each in made(file)]
        (_HERE / f"{file}_expected.jsonl").write_text("\n".join(rows) + "\n")
