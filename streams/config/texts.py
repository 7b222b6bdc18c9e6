"""Texts that are languages: compiled while the file is read, so that a wrong one has its line."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from streams.config.fql import Condition
from streams.config.fql_syntax import FqlError
from streams.config.paths import PathError, compile_path


def listed(value: Any) -> Any:
    """A single string where a list may stand."""
    return (value,) if isinstance(value, str) else value


def _condition(text: str) -> str:
    try:
        Condition(text)
    except FqlError as error:
        place = {"line": error.line, "column": error.column, "write": error.write}
        message = f"{error.message}\n{error.caret}"
        raise PydanticCustomError("fql", "{said}", {**place, "said": message}) from None
    return text


def _path(text: str) -> str:
    try:
        compile_path(text)
    except PathError as error:
        write = "$.properties.total" if text.startswith("$") else f"$.{text.lstrip('.')}"
        raise PydanticCustomError("jsonpath", "{said}", {"said": str(error), "write": write}) from None
    return text


JsonPath = Annotated[str, AfterValidator(_path), Field(description="A JSONPath (RFC 9535)")]
Paths = Annotated[tuple[JsonPath, ...], BeforeValidator(listed)]
Names = Annotated[tuple[str, ...], BeforeValidator(listed)]
Fql = Annotated[str, AfterValidator(_condition), Field(description="Segment's filter query language")]
