"""CSV and JSON Lines: read line by line with the byte offset known, so that reading goes on anywhere."""

import csv
import re
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from streams.engine.errors import Misconfigured
from streams.gateway.rows.row import Point, Row

HEAD: Final = 65_536
"""Bytes at a file's beginning by which it is known again."""
_BOM: Final = b"\xef\xbb\xbf"
_DELIMITERS: Final = ",;\t|"
_NOT_UTF8: Final = re.compile("[\udc80-\udcff]")
"""How bytes that can't be decoded are held."""


class Lines:
    """A file's lines and where each ends; a row may take several."""

    def __init__(self, file: BinaryIO, offset: int) -> None:
        self._file = file
        self.offset = offset
        self.taken: list[bytes] = []
        file.seek(offset)

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> str:
        line = self._file.readline()
        if not line:
            raise StopIteration
        self.offset += len(line)
        self.taken.append(line)
        return line.decode(errors="surrogateescape")

    def back_to(self, offset: int) -> None:
        """Read again from there."""
        self.offset = offset
        self._file.seek(offset)

    def start(self) -> int:
        """Forget the lines taken; where the next row begins."""
        self.taken.clear()
        return self.offset


class TextFile:
    """What both formats share: size, and the point behind a row."""

    unit = "bytes"
    columns: tuple[str, ...] | None = None

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self.total: int | None = path.stat().st_size
            with path.open("rb") as file:
                self._head = file.read(HEAD)
        except OSError as error:
            raise Misconfigured(f"{path}: {error.strerror}") from None

    def _begin(self, after: Point | None, default: int) -> tuple[int, int]:
        """Offset and number of the last row read. Raises Misconfigured if the file is another one."""
        if after is None:
            return default, 0
        offset, number = int(after["offset"]), int(after["row"])
        length = min(offset, HEAD)
        known = offset <= (self.total or 0) and _hash(self._head[:length]) == after["head"]
        if not (known and self._between_lines(offset)):
            raise Misconfigured(f"{self._path} is not the file it was: import it from its start, no --resume")
        return offset, number

    def _between_lines(self, offset: int) -> bool:
        """Whether a line ends there: in a file that changed somewhere behind its head none may."""
        with self._path.open("rb") as file:
            file.seek(max(0, offset - 1))
            around = file.read(2)
        return offset == self.total or b"\n" in around or b"\r" in around

    def _after(self, offset: int, number: int) -> Point:
        return {"offset": offset, "row": number, "head": self._known(offset)}

    def _known(self, offset: int) -> str:
        if offset < HEAD:
            return _hash(self._head[:offset])
        if not hasattr(self, "_whole"):
            self._whole = _hash(self._head)
        return self._whole


class JsonLines(TextFile):
    """One JSON object a line; empty lines are none."""

    def rows(self, after: Point | None) -> Iterator[Row]:
        """See Reader."""
        offset, number = self._begin(after, len(_BOM) if self._head.startswith(_BOM) else 0)
        with self._path.open("rb") as file:
            file.seek(offset)
            for line in file:
                offset += len(line)
                raw = line.strip()
                if not raw:
                    continue
                number += 1
                values, problem = _object(raw)
                yield Row(number, values, offset, self._after(offset, number), problem, raw)


def _object(raw: bytes) -> tuple[dict[str, Any], str]:
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return {}, f"not JSON: {error}"
    return (found, "") if isinstance(found, dict) else ({}, "not a JSON object")


class CsvFile(TextFile):
    """CSV with a header, RFC 4180; the delimiter is what its header has most. Empty fields are left out."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        start = len(_BOM) if self._head.startswith(_BOM) else 0
        first = self._head[start:].partition(b"\n")[0].decode(errors="replace")
        self._delimiter = max(_DELIMITERS, key=first.count)
        with path.open("rb") as file:
            lines = Lines(file, start)
            try:
                self.columns = tuple(name.strip() for name in next(self._parser(lines), ()))
            except csv.Error as error:
                raise Misconfigured(f"{path}: its header can't be read: {error}") from None
            self._body = lines.offset
        if not self.columns:
            raise Misconfigured(f"{path} has no header")
        if any(map(_NOT_UTF8.search, self.columns)):
            raise Misconfigured(f"{path}: its header is not UTF-8: write the file as UTF-8")
        twice = {name for name in self.columns if self.columns.count(name) > 1}
        if twice:
            raise Misconfigured(f"{path} has two columns named {min(twice)!r}")

    def _parser(self, lines: Lines) -> Iterator[list[str]]:
        return csv.reader(lines, delimiter=self._delimiter, strict=True)

    def rows(self, after: Point | None) -> Iterator[Row]:
        """See Reader. A broken row of several lines costs its first line only: an open quote ends there."""
        offset, number = self._begin(after, self._body)
        columns = self.columns or ()
        with self._path.open("rb") as file:
            lines = Lines(file, offset)
            parser = self._parser(lines)
            while True:
                start = lines.start()
                fields, problem = self._next(parser)
                if fields is None:
                    return
                if not fields and not problem:
                    continue
                ascii_only = all(map(bytes.isascii, lines.taken))
                problem = problem or _misfit(fields, columns, ascii_only=ascii_only)
                if problem and len(lines.taken) > 1:
                    lines.back_to(start + len(lines.taken[0]))
                    parser = self._parser(lines)
                number += 1
                yield Row(
                    number,
                    {} if problem else {c: f for c, f in zip(columns, fields, strict=True) if f},
                    lines.offset,
                    self._after(lines.offset, number),
                    problem,
                    lines.taken[0] if problem else b"",
                )

    @staticmethod
    def _next(parser: Iterator[list[str]]) -> tuple[list[str] | None, str]:
        """The next row's fields, None at the end; what is wrong with it."""
        try:
            return next(parser), ""
        except StopIteration:
            return None, ""
        except csv.Error as error:
            return [], f"not CSV: {error}"


def _misfit(fields: list[str], columns: tuple[str, ...], *, ascii_only: bool) -> str:
    if len(fields) != len(columns):
        return f"it has {len(fields)} fields, the header has {len(columns)}"
    if ascii_only:
        return ""
    for column, value in zip(columns, fields, strict=True):
        if _NOT_UTF8.search(value):
            return f"column {column} is not UTF-8"
    return ""


def _hash(head: bytes) -> str:
    return blake2b(head, digest_size=8).hexdigest()
