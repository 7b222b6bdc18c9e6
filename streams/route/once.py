"""``once:`` of a rule: what there may be only one of, as a mark that deliver keeps."""

from collections.abc import Callable, Mapping
from typing import Any

from streams.config.paths import first_of
from streams.route.formats import text

Once = Callable[[Mapping[str, Any]], str | None]
"""Message → "ever" or "by:" and the value; None = nothing is found where the rule looks."""


def compile_once(once: tuple[str, ...]) -> Once:
    """The rule's ``once`` as a function of messages."""
    if once == ("ever",):
        return lambda message: "ever"
    get = first_of(once)

    def by(message: Mapping[str, Any]) -> str | None:
        found = text(get(message))
        return f"by:{found}" if found else None

    return by


def marked(kind: str, target: str, key: str, occurrence: int, mark: str) -> str:
    """The mark of one operation: of a message's several, each has its own, whoever the message came from.

    ``ever`` counts for each person, ``by:`` for the whole account.
    """
    return "\x1f".join((mark, kind, target, key, str(occurrence)))
