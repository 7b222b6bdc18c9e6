"""Secrets: strings that don't show themselves."""

from typing import Annotated, Any

from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

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
            cls, core_schema.str_schema(min_length=1), serialization=masked
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "format": "password"}


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
