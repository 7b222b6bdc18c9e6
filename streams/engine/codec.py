"""Avro with the registry's framing: a zero byte, four bytes of schema id, the record."""

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from fastavro import parse_schema, schemaless_reader

from streams.engine.encoding import compile_writer
from streams.engine.errors import Misconfigured, Unreadable

FOLDER = Path(__file__).parents[2] / "avro"
Schema = dict[str, Any]


@cache
def schema_text(name: str) -> str:
    """The schema ``avro/<name>.avsc`` as the registry gets it: one line of JSON."""
    path = FOLDER / f"{name}.avsc"
    try:
        return json.dumps(json.loads(path.read_bytes()), separators=(",", ":"))
    except FileNotFoundError:
        raise Misconfigured(f"{path} is missing: install from a checkout with `pip install -e .`") from None


def schema_id(value: bytes) -> int | None:
    """Id in a framed value; None if it is not framed."""
    return int.from_bytes(value[1:5]) if len(value) >= 5 and value[0] == 0 else None


def framed_bytes(value: bytes) -> bytes:
    """The first field of a framed record whose first field is bytes; Unreadable where it can't be."""
    length = shift = 0
    at = 5
    try:
        while True:
            octet = value[at]
            at += 1
            length |= (octet & 0x7F) << shift
            if octet < 0x80:
                break
            shift += 7
    except IndexError:
        raise Unreadable("the record ends inside its first field") from None
    end = at + (length >> 1)
    if length & 1 or end > len(value):
        raise Unreadable("the record's first field is longer than the record")
    return value[at:end]


class Codec:
    """Writes one schema and reads it, and every other version of it, as ours.

    ``writers`` is shared: schema id → writer's schema, None where the registry has no such id.
    """

    def __init__(self, name: str, writers: dict[int, Schema | None]) -> None:
        self.name = name
        self.schema: Schema = parse_schema(json.loads(schema_text(name)))  # type: ignore[assignment]
        self._write = compile_writer(self.schema)
        self._writers = writers
        self._frame = b""
        self._frames: frozenset[bytes] = frozenset()

    def own(self, ids: Iterable[int]) -> None:
        """Tell the ids under which the registry has exactly this schema; the first is written."""
        frames = [b"\0" + number.to_bytes(4) for number in ids]
        self._frame = frames[0]
        self._frames = frozenset(frames)

    def encode(self, value: Mapping[str, Any]) -> bytes:
        """Framed bytes. A value that does not fit the schema is a mistake of ours and raises."""
        return self.frame + self._write(value)

    def decode(self, data: bytes) -> dict[str, Any]:
        """The record in our schema.

        Raises:
            Unreadable: no frame, an id that the registry does not have, or bytes that do not fit.
        """
        source = BytesIO(data)
        frame = source.read(5)
        try:
            if frame in self._frames:
                record = schemaless_reader(source, self.schema, None)
            else:
                record = schemaless_reader(source, self._writer(frame), self.schema)
        except (Unreadable, Unlearned):
            raise
        except Exception as error:  # fastavro lets a dozen types through, whatever the bytes provoke
            raise Unreadable(f"not a record of {self.name}: {error!r}") from error
        if source.tell() != len(data):
            raise Unreadable(f"not a record of {self.name}: {len(data) - source.tell()} bytes too many")
        return record  # type: ignore[return-value]

    def prefix(self, *, upto: str) -> Callable[[bytes], dict[str, Any]]:
        """A reader of the first fields, up to and including ``upto``; of another version it reads all."""
        names = [field["name"] for field in self.schema["fields"]]
        cut = json.loads(schema_text(self.name))
        cut["fields"] = cut["fields"][: names.index(upto) + 1]
        schema = parse_schema(cut)

        def read(data: bytes) -> dict[str, Any]:
            source = BytesIO(data)
            if source.read(5) not in self._frames:
                return self.decode(data)
            try:
                return schemaless_reader(source, schema, None)  # type: ignore[return-value]
            except Exception as error:
                raise Unreadable(f"not a record of {self.name}: {error!r}") from error

        return read

    def suffix(self, *, after: str) -> Callable[[Mapping[str, Any]], bytes]:
        """A writer of the fields behind ``after``, unframed, to append to a record that begins the same."""
        rest = json.loads(schema_text(self.name))
        names = [field["name"] for field in rest["fields"]]
        rest["fields"] = rest["fields"][names.index(after) + 1 :]
        return compile_writer(parse_schema(rest))

    @property
    def frame(self) -> bytes:
        """The five bytes before each record; a mistake of ours, and raised, before the registry was asked."""
        if not self._frame:
            raise RuntimeError(f"schema {self.name}: ask the registry first (ready_sync)")
        return self._frame

    @property
    def frames(self) -> frozenset[bytes]:
        """The frames of records whose schema is exactly ours."""
        return self._frames

    def _writer(self, frame: bytes) -> Schema:
        number = schema_id(frame)
        if number is None:
            raise Unreadable("not framed: a zero byte and a schema id come first")
        try:
            schema = self._writers[number]
        except KeyError:
            raise Unlearned(number) from None
        if schema is None:
            raise Unreadable(f"the registry has no schema of id {number}")
        return schema


class Unlearned(RuntimeError):
    """A value was decoded before its schema id was learned; never a dead letter."""

    def __init__(self, number: int) -> None:
        super().__init__(f"schema id {number} is not known yet: registry.learn(values) first")
        self.frame = b"\0" + number.to_bytes(4)
