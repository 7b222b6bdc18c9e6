"""Secrets: strings that don't show themselves."""

from typing import Annotated, Any

from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

MASK = "**********"


class Secret(str):
    """A string whose ``repr``, ``str`` and f-string are masked; the value is ``get_secret_value()``.

    It compares, hashes, concatenates and encodes as the value itself.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Secret('{MASK}')"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def get_secret_value(self) -> str:
        """The value as a plain string."""
        return "".join(self)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        masked = core_schema.plain_serializer_function_ser_schema(lambda _: MASK, when_used="json")
        return core_schema.no_info_after_validator_function(
            _whole, core_schema.str_schema(min_length=1), serialization=masked
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "format": "password"}


def _whole(value: str) -> Secret:
    """A key from a file often ends with the file's last line break, which no header may have."""
    if value != value.strip() or not value.isprintable():
        said = "has a space at an end of it" if value.isprintable() else "has a line break or the like in it"
        write = "the secret alone: printf %s, not echo, writes it into a file"
        raise PydanticCustomError("secret", "{said}", {"said": said, "write": write})
    return Secret(value)


def _listed(value: Any) -> Any:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else value


_ONE_OR_TWO = {
    "anyOf": [
        {"type": "string", "format": "password"},
        {"type": "array", "items": {"type": "string", "format": "password"}, "maxItems": 2},
    ]
}
Secrets = Annotated[tuple[Secret, ...], BeforeValidator(_listed), WithJsonSchema(_ONE_OR_TWO)]
"""One secret, or two while one replaces the other."""
