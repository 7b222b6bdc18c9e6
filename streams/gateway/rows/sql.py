"""A table or a query of a database that SQLAlchemy reaches (the extra ``sql``), in the order of a cursor."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from streams.engine.errors import Away, Misconfigured
from streams.gateway.rows.row import Point, Row

_FETCH: Final = 2_000


class Sql:
    """Rows in the order of cursor and key, each behind the last one sent.

    Args:
        url: SQLAlchemy's.
        table: name, a schema before a dot; or
        query: a SELECT.
        cursor: the column that grows with each change, such as ``updated_at``.
        key: the column that tells rows of one cursor value apart.
    """

    unit = "rows"
    total: int | None = None

    def __init__(self, url: str, *, table: str | None, query: str | None, cursor: str, key: str) -> None:
        try:
            import sqlalchemy  # noqa: PLC0415 - an optional extra
        except ImportError:
            raise Misconfigured(
                "databases need SQLAlchemy: pip install 'segment-klaviyo-streams[sql]'"
            ) from None
        self._sql = sqlalchemy
        self._cursor, self._key = cursor, key
        try:
            self._engine = sqlalchemy.create_engine(url)
        except sqlalchemy.exc.ArgumentError as error:
            raise Misconfigured(f"the URL can't be used: {error}") from None
        except ImportError as error:
            raise Misconfigured(f"the URL's driver is not here: pip install {error.name}") from None
        file = self._engine.url.database or ":"
        if self._engine.dialect.name == "sqlite" and ":" not in file and not Path(file).exists():
            raise Misconfigured(f"{file}: no such file")  # SQLite would make one
        if query is not None:
            self._source: Any = sqlalchemy.text(f"({query.strip().rstrip(';')}) AS imported")
        else:
            schema, _, name = (table or "").rpartition(".")
            self._source = sqlalchemy.table(name, schema=schema or None)
        with self._connected() as connection:
            probe = sqlalchemy.select(sqlalchemy.text("*")).select_from(self._source).limit(0)
            self.columns: tuple[str, ...] | None = tuple(connection.execute(probe).keys())

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        """A connection; what the database does not do is an error of ours."""
        try:
            with self._engine.connect() as connection:
                yield connection.execution_options(stream_results=True, yield_per=_FETCH)
        except self._sql.exc.OperationalError as error:
            if "no such" in str(error.orig):  # SQLite says so of tables and columns
                raise Misconfigured(f"the database refuses: {error.orig}") from None
            raise Away(f"the database: {error.orig}") from None
        except self._sql.exc.DBAPIError as error:
            raise Misconfigured(f"the database refuses: {error.orig}") from None

    def rows(self, after: Point | None) -> Iterator[Row]:
        """See Reader.

        First those without a cursor value, which have no place in the order: they can't be sent. Behind the
        point of an import that ended, rows of its very last cursor value come again, since more may have
        been written with it; those that are as they were are not sent.
        """
        number = 0 if after is None else int(after["row"])
        held: Row | None = None
        with self._connected() as connection:
            for values in connection.execute(self._statement(after)).mappings():
                number += 1
                row = self._row(number, dict(values))
                if held is not None:
                    yield held if _place(held) != _place(row) else replace(held, last=False)
                held = row
        if held is not None:
            yield held

    def _row(self, number: int, values: dict[str, Any]) -> Row:
        cursor, key = values[self._cursor], values[self._key]
        point = {"cursor": _kept(cursor), "key": _kept(key), "row": number}
        problem = f"{self._cursor}, the cursor, is null" if cursor is None else ""
        return Row(number, values, number, point, problem)

    def _statement(self, after: Point | None) -> Any:
        sql = self._sql
        cursor, key = sql.column(self._cursor), sql.column(self._key)
        chosen = sql.select(sql.text("*")).select_from(self._source)
        if after is not None and after["cursor"] is not None:
            at, last = _read(after["cursor"]), _read(after["key"])
            if after.get("ended") or last is None:
                chosen = chosen.where(cursor >= at)
            else:
                chosen = chosen.where(sql.or_(cursor > at, sql.and_(cursor == at, key > last)))
        nulls_first = [sql.case((column.is_(None), 0), else_=1) for column in (cursor, key)]
        return chosen.order_by(nulls_first[0], cursor, nulls_first[1], key)


def _place(row: Row) -> tuple[Any, Any]:
    return row.after["cursor"], row.after["key"]


def _kept(value: Any) -> Any:
    """A value of a cursor as JSON."""
    if isinstance(value, datetime):
        return {"datetime": value.isoformat()}
    if isinstance(value, date):
        return {"date": value.isoformat()}
    if isinstance(value, Decimal):
        return {"decimal": str(value)}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if value is None or isinstance(value, int | float | str):
        return value
    return {"text": str(value)}


_READ: Final[Mapping[str, Callable[[str], Any]]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "decimal": Decimal,
    "bytes": bytes.fromhex,
    "text": str,
}


def _read(kept: Any) -> Any:
    if not isinstance(kept, dict):
        return kept
    ((kind, text),) = kept.items()
    return _READ[kind](text)
