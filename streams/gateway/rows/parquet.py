"""Parquet, by pyarrow (the extra ``parquet``)."""

from collections.abc import Iterator
from hashlib import blake2b
from os import SEEK_END
from pathlib import Path
from typing import Any, Final

from streams.engine.errors import Misconfigured
from streams.gateway.rows.row import Point, Row

_BATCH: Final = 2_000
_NANOSECONDS: Final = ("timestamp[ns", "time64[ns")
_UNREADABLE: Final = (ValueError, ArithmeticError)
"""What values raise that Python has no room for: dates of the year 30000, text that is not UTF-8."""


class ParquetFile:
    """A Parquet file's rows in their order; values as Python has them, times cut to microseconds."""

    unit = "rows"

    def __init__(self, path: Path) -> None:
        try:
            from pyarrow import parquet  # noqa: PLC0415 - an optional extra
        except ImportError:
            raise Misconfigured(
                "Parquet needs pyarrow: pip install 'segment-klaviyo-streams[parquet]'"
            ) from None
        self._path = path
        try:
            self._file: Any = parquet.ParquetFile(path)
        except (OSError, ValueError) as error:  # pyarrow's errors of the format are ValueErrors
            raise Misconfigured(f"{path}: {error}") from None
        self.total: int | None = self._file.metadata.num_rows
        self.columns: tuple[str, ...] | None = tuple(self._file.schema_arrow.names)
        self._known = _footer(path, self._file.metadata.serialized_size)

    def rows(self, after: Point | None) -> Iterator[Row]:
        """See Reader. Whole row groups before the point are not read."""
        skip = 0
        if after is not None:
            if after["known"] != self._known:
                raise Misconfigured(
                    f"{self._path} is not the file it was: import it from its start, no --resume"
                )
            skip = int(after["row"])
        number = 0
        groups: list[int] = []
        for group in range(self._file.num_row_groups):
            size = self._file.metadata.row_group(group).num_rows
            if not groups and number + size <= skip:
                number += size
            else:
                groups.append(group)
        if not groups:
            return
        for batch in self._batches(groups):
            for values, problem in _values(batch):
                number += 1
                if number > skip:
                    point = {"row": number, "known": self._known}
                    raw = ascii(values).encode() if problem else b""
                    yield Row(number, {} if problem else values, number, point, problem, raw)

    def _batches(self, groups: list[int]) -> Iterator[Any]:
        try:
            yield from self._file.iter_batches(batch_size=_BATCH, row_groups=groups)
        except (OSError, ValueError) as error:
            raise Misconfigured(f"{self._path} is damaged: {error}") from None


def _footer(path: Path, size: int) -> str:
    """A digest of what the file says of itself: sizes, places and bounds of all that it holds."""
    with path.open("rb") as file:
        file.seek(-size - 8, SEEK_END)  # length and magic number come last
        return blake2b(file.read(), digest_size=8).hexdigest()


def _values(batch: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Each row's values, and what is wrong with them."""
    batch = _cut(batch)
    try:
        yield from ((values, "") for values in batch.to_pylist())
    except _UNREADABLE:
        for row in range(batch.num_rows):
            yield _one(batch, row)


def _cut(batch: Any) -> Any:
    """The batch, without the nanoseconds of its times: Python has none."""
    import pyarrow as pa  # noqa: PLC0415 - an optional extra

    for index, kind in enumerate(batch.schema.types):
        if str(kind).startswith(_NANOSECONDS):
            cut = pa.time64("us") if pa.types.is_time64(kind) else pa.timestamp("us", kind.tz)
            column = batch.columns[index].cast(cut, safe=False)
            batch = batch.set_column(index, batch.schema.names[index], column)
    return batch


def _one(batch: Any, row: int) -> tuple[dict[str, Any], str]:
    values: dict[str, Any] = {}
    problem = ""
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            values[name] = column[row].as_py()
        except _UNREADABLE as error:
            problem = problem or f"column {name} can't be read: {error}"
    return values, problem
