"""Which reader reads a location: a database's URL, or a file by its suffix."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from streams.engine.errors import Misconfigured
from streams.gateway.rows.lines import CsvFile, JsonLines
from streams.gateway.rows.mapping import Shape
from streams.gateway.rows.parquet import ParquetFile
from streams.gateway.rows.row import Reader
from streams.gateway.rows.sql import Sql

_FILES: Final[Mapping[str, Callable[[Path], Reader]]] = {
    ".csv": CsvFile,
    ".tsv": CsvFile,
    ".txt": CsvFile,
    ".jsonl": JsonLines,
    ".ndjson": JsonLines,
    ".parquet": ParquetFile,
}


def is_database(location: str) -> bool:
    """Whether it is a URL of SQLAlchemy's."""
    return "://" in location


def shown(location: str) -> str:
    """The location as it may be printed and kept: a URL without its password, a file's whole path."""
    if not is_database(location):
        return str(Path(location).resolve())
    password = urlsplit(location).password
    return location.replace(f":{password}@", ":***@") if password else location


def open_rows(
    location: str,
    shape: Shape,
    *,
    table: str | None = None,
    query: str | None = None,
    cursor: str | None = None,
) -> Reader:
    """The reader. Raises Misconfigured: what is wrong with the location, or which column it does not have."""
    if is_database(location):
        reader = _database(location, shape, table, query, cursor)
    elif table or query or cursor:
        raise Misconfigured("--table, --query and --cursor are for databases: give SQLAlchemy's URL")
    else:
        suffix = Path(location).suffix.lower()
        if suffix not in _FILES:
            raise Misconfigured(
                f"{location}: the name has to end in {', '.join(_FILES)}, or be a database's URL"
            )
        reader = _FILES[suffix](Path(location))
    asked = (*shape.named, cursor) if cursor else shape.named
    missing = [column for column in asked if reader.columns is not None and column not in reader.columns]
    if missing:
        there = ", ".join(reader.columns or ())
        raise Misconfigured(f"{shown(location)} has no column {', '.join(missing)}; there are {there}")
    return reader


def _database(
    location: str, shape: Shape, table: str | None, query: str | None, cursor: str | None
) -> Reader:
    if (table is None) == (query is None):
        raise Misconfigured("a database needs --table or --query, one of them")
    if cursor is None:
        raise Misconfigured("a database needs --cursor, a column that grows with each change")
    return Sql(location, table=table, query=query, cursor=cursor, key=shape.user_id or shape.email or cursor)
