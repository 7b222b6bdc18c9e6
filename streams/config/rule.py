"""Rules: which message becomes which operation, and how its fields are found."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from streams.config.payload import Payload
from streams.config.sections import Section
from streams.config.texts import AlsoText, Fql, MessagePaths, Names, listed, message_path

Do = Literal[
    "profile",
    "event",
    "list_add",
    "list_remove",
    "subscribe",
    "unsubscribe",
    "suppress",
    "unsuppress",
    "erase",
]
Format = Literal["text", "number", "date", "phone", "lower", "upper", "currency", "boolean"]
IDENTIFIERS = ("email", "phone_number", "external_id", "anonymous_id", "id")
"""Fields of a profile that identity gives, never a rule."""

Channels = Annotated[
    tuple[Literal["email", "sms", "whatsapp"], ...],
    BeforeValidator(listed),
    AlsoText(),
    Field(min_length=1),
]
_MAPPED = ("fields", "rename", "drop", "flatten", "template", "payload")
_CONSENT = ("list", "channels", "consented_at", "custom_source")
USED: dict[str, tuple[str, ...]] = {
    "profile": (*_MAPPED, "patch"),
    "event": (*_MAPPED, "metric", "product_metric"),
    "list_add": ("list",),
    "list_remove": ("list",),
    "subscribe": _CONSENT,
    "unsubscribe": _CONSENT,
    "suppress": _CONSENT,
    "unsuppress": _CONSENT,
    "erase": (),
}
"""What each ``do`` looks at, besides ``when``, ``name``, ``accounts`` and ``key``."""
TEMPLATES: dict[str, tuple[str, ...]] = {
    "profile": ("segment.traits", "segment.classic", "none"),
    "event": ("ecommerce.v2", "track", "segment.classic", "none"),
}
"""The templates of each ``do``, its default first."""


class FieldMap(Section):
    """Where one field's value comes from: the first path that finds something, else the constant."""

    path: MessagePaths = ()
    """JSONPaths (RFC 9535), tried in order."""
    constant: Any = None
    format: Format | None = None
    country: MessagePaths = ()
    """phone only: where the country of a national number stands."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        said = write = ""
        if not self.path and self.constant is None:
            said, write = "neither a path nor a constant", "path: $.properties.total"
        elif self.format and not self.path:
            said, write = "a constant has no format", "the constant as it is to be sent"
        elif self.country and self.format != "phone":
            said, write = "country belongs to format: phone", "format: phone"
        if said:
            raise PydanticCustomError("field", "{said}", {"said": said, "write": write})
        return self


def _field(value: Any) -> Any:
    """``$.path``, a list of paths, or a constant, in short."""
    if isinstance(value, str) and value.startswith("$"):
        return {"path": (value,)}
    if isinstance(value, list) and value and all(isinstance(v, str) and v.startswith("$") for v in value):
        return {"path": tuple(value)}
    if isinstance(value, list) and any(isinstance(v, str) and v.startswith("$.") for v in value):
        said = {"said": "paths and constants in one list", "write": "{path: [$.a, $.b], constant: …}"}
        raise PydanticCustomError("field", "{said}", said)
    return value if value is None or isinstance(value, dict | FieldMap) else {"constant": value}


_FIELD_FORMS = (
    "a JSONPath that starts with $, a list of them, a constant, or {path, constant, format, country}"
)


class AlsoShort:
    """In the JSON Schema: the short forms of a field."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        short = {"type": ["string", "number", "boolean", "array"]}
        return {"anyOf": [short, handler(schema)], "description": _FIELD_FORMS}


FieldSpec = Annotated[FieldMap | None, BeforeValidator(_field), AlsoShort()]
Mapped = dict[str, FieldSpec]


def _once(text: str) -> str:
    if text.lower() == "ever" or not text.startswith("$"):
        write = "ever" if text.lower() == "ever" else f"ever, or $.properties.{text}"
        if text != "ever":
            said = {"said": f"{text!r} is neither ever nor a JSONPath", "write": write}
            raise PydanticCustomError("once", "{said}", said)
        return text
    return message_path(text)


def _alone(marks: tuple[str, ...]) -> tuple[str, ...]:
    if "ever" in marks and len(marks) > 1:
        said = {"said": "ever stands alone: there is nothing it falls back to", "write": "ever"}
        raise PydanticCustomError("once", "{said}", said)
    return marks


Once = Annotated[
    tuple[Annotated[str, AfterValidator(_once)], ...],
    BeforeValidator(listed),
    AfterValidator(_alone),
    AlsoText(),
    Field(min_length=1, examples=["ever"]),
]


class Patch(Section):
    """Changes to a profile's properties that don't replace them."""

    append: Mapped = Field(default_factory=dict)
    unappend: Mapped = Field(default_factory=dict)
    unset: Names = ()
    set_once: Mapped = Field(default_factory=dict)


def _unsendable(name: str, constant: Any) -> tuple[str, str] | None:
    """Why no operation could be made with a constant, and what to write."""
    if name == "list" and isinstance(constant, int) and not isinstance(constant, bool):
        return None
    if not isinstance(constant, str) or not constant.strip():
        plain = constant not in ("", None) and not isinstance(constant, bool | dict | list)
        return "a text is needed that isn't empty", f'"{constant}"' if plain else '"…"'
    if name != "consented_at":
        return None
    try:
        datetime.fromisoformat(constant)
    except ValueError:
        return f"{constant!r} is no date", "2026-01-31, 2026-01-31T12:00:00Z or a path"
    return None


class Rule(Section):
    """One rule: ``when`` a message is like this, ``do`` that, with a template's fields and its own."""

    when: Fql
    do: Do
    name: str = ""
    """How outcomes call the rule; "rule N" by default."""
    accounts: Annotated[Names, Field(min_length=1)] | None = None
    """None = every account of the message's space."""
    template: Literal["segment.traits", "ecommerce.v2", "track", "segment.classic", "none"] | None = None
    key: FieldSpec = None
    """Makes the operation another one than an earlier rule's for the same target."""
    once: Once | None = None
    """``ever``: one for a person; a JSONPath (or several): one for each value found, such as an order id."""
    metric: FieldSpec = None
    """The event's name at Klaviyo, instead of the template's."""
    product_metric: str | None = "Ordered Product"
    """The event of each product of an order; null for none."""
    fields: Mapped = Field(default_factory=dict)
    """Target field → where from; null leaves out what the template gives."""
    rename: dict[str, str] = Field(default_factory=dict)
    drop: Names = ()
    flatten: bool = False
    """Nested objects become ``a.b`` properties."""
    payload: Payload | None = None
    """What happens over Klaviyo's limits, instead of what the file's ``payload`` says for all rules."""
    patch: Patch = Patch()
    list: FieldSpec = None
    """Klaviyo's list, id or name."""
    channels: Channels = ("email",)
    """Consent rules only."""
    consented_at: FieldSpec = None
    custom_source: FieldSpec = None
    line: int = 0
    """Where the rule stands in the file."""

    @field_validator("metric", "list", "consented_at", "custom_source", mode="after")
    @classmethod
    def _constants_that_can_be_sent(cls, field: FieldMap | None, info: ValidationInfo) -> FieldMap | None:
        constant = None if field is None else field.constant
        if constant is None or (wrong := _unsendable(str(info.field_name), constant)) is None:
            return field
        said, write = wrong
        raise PydanticCustomError("constant", "{said}", {"said": said, "write": write})

    @field_validator("fields", "rename", mode="before")
    @classmethod
    def _no_identifiers(cls, fields: Any, info: ValidationInfo) -> Any:
        given = fields if isinstance(fields, dict) else {}
        for target in given.values() if info.field_name == "rename" else given:
            if isinstance(target, str) and target in IDENTIFIERS:
                said = f"{target} comes from identity, not from a rule"
                write = f"properties.{target}"
                raise PydanticCustomError("identifier", "{said}", {"said": said, "write": write})
        return fields
