"""Rules that change lists and consent: which list, which channels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streams.config.paths import MISSING
from streams.config.rule import FieldMap, Rule
from streams.route.fields import Getter, compile_field
from streams.route.formats import text

_AUDIENCE = FieldMap(
    path=(
        "$.context.personas.audience_settings.listId",
        "$.context.personas.audience_settings.list_id",
        "$.context.personas.external_audience_id",
        "$.properties.list_id",
    )
)
"""Where Segment's audiences name their list."""


@dataclass(frozen=True, slots=True)
class OtherRule:
    """A compiled rule of any other ``do``: ``payload`` gives target and payload, or what is missing."""

    do: str
    list_: Getter | None
    channels: tuple[str, ...]
    consented_at: Getter | None
    custom_source: Getter | None

    def payload(self, message: Mapping[str, Any], unmapped: list[str]) -> tuple[str, dict[str, Any]] | str:
        """What the op id names as target, and the operation's payload; text = why there is none."""
        found: Any = text(self.list_(message, unmapped)) if self.list_ else MISSING
        found = found.strip() if found else found
        if self.do in ("list_add", "list_remove"):
            return (found, {"list": found}) if found else "no list: nothing found where the rule looks for it"
        if self.do == "erase":
            return "", {}
        if self.list_ and not found:
            return "no list: nothing found where the rule looks for it"
        made: dict[str, Any] = {"channels": {channel: ["marketing"] for channel in self.channels}}
        if found:
            made["list"] = found
        for name, getter in (("consented_at", self.consented_at), ("custom_source", self.custom_source)):
            ignored = len(unmapped)
            value = text(getter(message, unmapped)) if getter else MISSING
            if value:
                made[name] = value
            elif self.do == "subscribe" and name == "consented_at" and len(unmapped) > ignored:
                return "consented_at is no date"  # as of now the consent might go over a later no
        return "+".join((*sorted(self.channels), *([found] if found else []))), made


def compile_other(rule: Rule) -> OtherRule:
    """The rule as a function of messages."""
    audience = _AUDIENCE if rule.do in ("list_add", "list_remove") else None
    consented_at = rule.consented_at
    if consented_at and consented_at.path and not consented_at.format:
        consented_at = consented_at.model_copy(update={"format": "date"})
    return OtherRule(
        do=rule.do,
        list_=compile_field(field) if (field := rule.list or audience) else None,
        channels=rule.channels,
        consented_at=compile_field(consented_at) if consented_at else None,
        custom_source=compile_field(rule.custom_source) if rule.custom_source else None,
    )
