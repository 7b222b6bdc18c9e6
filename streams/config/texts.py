"""Texts that are languages: compiled while the file is read, so that a wrong one has its line."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from streams.config.fql_sense import MESSAGE, make_sense
from streams.config.fql_syntax import FqlError
from streams.config.paths import PathError, compile_path
from streams.config.problems import closest

_FIRST = re.compile(r"\$\.([A-Za-z_]\w*)")


def listed(value: Any) -> Any:
    """A single string where a list may stand."""
    return (value,) if isinstance(value, str) else value


def _condition(text: str) -> str:
    try:
        make_sense(text)
    except FqlError as error:
        place = {"line": error.line, "column": error.column, "write": error.write}
        message = f"{error.message}\n{error.caret}"
        raise PydanticCustomError("fql", "{said}", {**place, "said": message}) from None
    return text


def compiled_path(text: str) -> str:
    """The text, if it is a JSONPath."""
    try:
        compile_path(text)
    except PathError as error:
        write = "$.properties.total" if text.startswith("$") else f"$.{text.lstrip('.')}"
        raise PydanticCustomError("jsonpath", "{said}", {"said": str(error), "write": write}) from None
    return text


def message_path(text: str) -> str:
    """The text, if it is a JSONPath into a message.

    ``$['x']`` leads to fields that messages don't usually have; ``$.x`` would be a typo too often.
    """
    compiled_path(text)
    first = _FIRST.match(text)
    if first and first[1] not in MESSAGE:
        write = f"{_likely(first[1])}; $['{first[1]}'] if your messages have it nevertheless"
        said = {"said": f"a message has no field {first[1]!r}", "write": write}
        raise PydanticCustomError("jsonpath", "{said}", said)
    return text


def _likely(name: str) -> str:
    like = closest(name, MESSAGE)
    return f"$.{like}" if like else f"$.properties.{name}, or where else it is"


class AlsoText:
    """In the JSON Schema: a single text may stand for a list of one."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string"}, handler(schema)]}


JsonPath = Annotated[str, AfterValidator(compiled_path), Field(description="A JSONPath (RFC 9535)")]
Paths = Annotated[tuple[JsonPath, ...], BeforeValidator(listed), AlsoText()]
MessagePaths = Annotated[
    tuple[Annotated[str, AfterValidator(message_path)], ...], BeforeValidator(listed), AlsoText()
]
Names = Annotated[tuple[str, ...], BeforeValidator(listed), AlsoText()]
Fql = Annotated[str, AfterValidator(_condition), Field(description="Segment's filter query language")]
