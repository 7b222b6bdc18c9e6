"""One row, wherever it stands, and what every reader of rows offers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Point = Mapping[str, Any]
"""Where reading goes on, as JSON: whatever the reader needs to find the place again."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    ``number`` counts from 1; ``done`` is how far the source is read, in its units; ``after`` is where reading
    goes on behind this row; ``problem`` says why the row can't be read, then ``values`` are empty. ``raw`` is
    the row's bytes where it has any.
    """

    number: int
    values: Mapping[str, Any]
    done: int
    after: Point
    problem: str = ""
    raw: bytes = b""
    last: bool = True
    """Whether reading can go on behind it: rows that a point can't tell apart stay together."""


class Reader(Protocol):
    """A source of rows.

    ``total`` is its size in ``unit`` ("bytes" or "rows"), None where only reading tells; ``columns`` are
    its names where it has them before any row.
    """

    unit: str
    total: int | None
    columns: tuple[str, ...] | None

    def rows(self, after: Point | None) -> Iterator[Row]:
        """All rows, or those behind a point.

        Raises:
            Misconfigured: the source is not what it was when the point was taken.
            Away: the source does not answer.
        """
