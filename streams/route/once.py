"""``once:`` of a rule: what there may be only one of, as a mark that deliver keeps."""

from collections.abc import Callable, Mapping
from typing import Any

from streams.config.paths import first_of
from streams.route.formats import text
from streams.segment.envelope import Profile

Once = Callable[[Mapping[str, Any], Profile], str | None]
"""Message and person → "ever:" and the profile, or "by:" and the value; None = nothing is found there."""


def compile_once(once: tuple[str, ...]) -> Once:
    """The rule's ``once`` as a function of messages."""
    if once == ("ever",):
        return lambda message, profile: f"ever:{profile['id']}"
    get = first_of(once)

    def by(message: Mapping[str, Any], profile: Profile) -> str | None:
        found = text(get(message))
        return f"by:{found}" if found else None

    return by


def marked(kind: str, target: str, key: str, occurrence: int, mark: str) -> str:
    """The mark of one operation, unique in its account: of a message's several, each has its own."""
    return "\x1f".join((mark, kind, target, key, str(occurrence)))
