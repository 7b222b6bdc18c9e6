"""Parquet, by pyarrow (the extra ``parquet``)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from streams.engine.errors import Misconfigured
from streams.gateway.rows.row import Point, Row

_BATCH: Final = 2_000


class ParquetFile:
    """A Parquet file's rows in their order; values as Python has them."""

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
        self._known = str(self._file.metadata.serialized_size)

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
        for batch in self._file.iter_batches(batch_size=_BATCH, row_groups=groups):
            for values in batch.to_pylist():
                number += 1
                if number > skip:
                    yield Row(number, values, number, {"row": number, "known": self._known})
