"""Rules that make events: a template's draft, the rule's fields over it, one payload each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from streams.config.paths import MISSING
from streams.config.rule import Rule
from streams.route.classic import classic
from streams.route.draft import Draft, Drafts
from streams.route.ecommerce import commerce, track
from streams.route.fields import Getter, compile_field, compile_fields, flattened
from streams.route.formats import currency, number

Template = Callable[[Mapping[str, Any], list[str]], Drafts]


def _none(message: Mapping[str, Any], unmapped: list[str]) -> Drafts:
    """Template ``none``: only what the rule says."""
    event = message.get("event")
    return Drafts(Draft(event if isinstance(event, str) else None, {}))


_TEMPLATES: dict[str | None, Template] = {
    None: commerce,
    "ecommerce.v2": commerce,
    "track": track,
    "segment.classic": classic,
    "none": _none,
}


@dataclass(frozen=True, slots=True)
class EventRule:
    """A compiled rule of ``do: event``."""

    template: Template
    metric: Getter | None
    product_metric: str | None
    fields: tuple[tuple[str, Getter | None], ...]
    rename: tuple[tuple[str, str], ...]
    drop: tuple[str, ...]
    flatten: bool

    def drafts(self, message: Mapping[str, Any], unmapped: list[str]) -> list[Draft]:
        """The events of a message, the one of the message first; a draft without metric can't be sent."""
        made = self.template(message, unmapped)
        event = made.event
        if self.metric:
            found = self.metric(message, unmapped)
            event.metric = found if isinstance(found, str) else None
        if self.fields:
            self._put_over(event, message, unmapped)
        drafts = [event]
        if made.products and self.product_metric:
            for product in made.products:
                product.metric = self.product_metric
            drafts += made.products
        if self.rename or self.drop or self.flatten:
            for draft in drafts:
                draft.properties = self._reshaped(draft.properties)
        return drafts

    def _put_over(self, event: Draft, message: Mapping[str, Any], unmapped: list[str]) -> None:
        for target, getter in self.fields:
            found = getter(message, unmapped) if getter else None
            if found is MISSING:
                continue
            if target == "value":
                event.value = _checked(number, found, target, unmapped)
            elif target == "value_currency":
                event.currency = _checked(currency, found, target, unmapped)
            elif getter is None:
                event.properties.pop(target, None)
            else:
                event.properties[target] = found

    def _reshaped(self, properties: dict[str, Any]) -> dict[str, Any]:
        return reshaped(properties, self.rename, self.drop, flatten=self.flatten)


def _checked(convert: Callable[[Any], Any], found: Any, target: str, unmapped: list[str]) -> Any:
    if found is None:
        return None
    value = convert(found)
    if value is MISSING:
        unmapped.append(target)
        return None
    return value


def reshaped(
    properties: dict[str, Any], rename: tuple[tuple[str, str], ...], drop: tuple[str, ...], *, flatten: bool
) -> dict[str, Any]:
    """Properties flattened, then without ``drop``, then renamed; a rename onto a name in use replaces it."""
    shaped = flattened(properties) if flatten else dict(properties)
    for name in drop:
        shaped.pop(name, None)
    renamed = [(new, shaped.pop(old)) for old, new in rename if old in shaped]
    return shaped | dict(renamed)  # all at once: two names may be exchanged


def compile_event(rule: Rule) -> EventRule:
    """The rule as a function of messages."""
    fields = {target.removeprefix("properties."): field for target, field in rule.fields.items()}
    return EventRule(
        template=_TEMPLATES.get(rule.template, _none),
        metric=compile_field(rule.metric) if rule.metric else None,
        product_metric=rule.product_metric,
        fields=compile_fields(fields),
        rename=tuple(rule.rename.items()),
        drop=rule.drop,
        flatten=rule.flatten,
    )


def payload(draft: Draft) -> dict[str, Any]:
    """The draft as an event operation's payload."""
    found: dict[str, Any] = {"metric": draft.metric, "properties": draft.properties}
    if draft.value is not None:
        found["value"] = draft.value
    if draft.currency is not None:
        found["value_currency"] = draft.currency
    return found
