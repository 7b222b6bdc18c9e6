"""A request's body → its messages: unpacked within a bound, parsed, batch defaults applied."""

import json
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from typing import Any

import orjson

_DEFAULTS = ("context", "integrations")
_MEMBERS = 1_000
"""Packed parts of one body: libraries send one."""
_MESSAGES = 20_000
"""Of one batch: in Segment's caps there is no room for more that are any."""
_REPEATED_BYTES = 16 * 1024 * 1024
"""What a batch says for all of its messages, once for each of them."""
_DIGITS = 4_000
_DEEP = 4_000
"""Levels that Python's reader and writer go down; each costs them some of the stack."""


class Unusable(Exception):
    """The whole body can't be used: an HTTP status, a code and what to do about it."""

    def __init__(self, status: int, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.hint = hint


@dataclass(slots=True)
class Piece:
    """One message of a body; ``value`` is None where ``body`` is not valid JSON by itself."""

    body: bytes
    value: Any
    content: bytes
    """What stays the same when the message is sent again; ``body`` unless batch defaults changed it."""


def not_an_object() -> Unusable:
    """Return the refusal of JSON of the wrong shape."""
    return Unusable(400, "invalid_body", "the body must be a JSON object", "see Segment's HTTP API")


def too_large(limit: int) -> Unusable:
    """Return the refusal of a body above the cap."""
    return Unusable(413, "too_large", f"the body has more than {limit} bytes", "send smaller batches")


def unpack(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo gzip or deflate; never holds more than ``limit`` bytes, however much is packed in there."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return body
    if encoding not in ("gzip", "x-gzip", "deflate"):
        message = f"Content-Encoding {encoding!r} is not known here"
        raise Unusable(415, "unsupported_encoding", message, "send gzip, or no encoding")
    out = bytearray()
    members = 0
    try:
        while body:
            members += 1
            if members > _MEMBERS:
                raise zlib.error(f"it has more than {_MEMBERS} parts")
            reader = zlib.decompressobj(wbits=47)  # gzip or zlib, as its header says
            out += reader.decompress(body, limit + 1 - len(out))
            if len(out) > limit:
                raise too_large(limit)
            if not reader.eof:
                raise zlib.error("it ends too early")
            body = reader.unused_data.lstrip(b"\0")
    except zlib.error as error:
        message = f"the body is not {encoding}: {error}"
        raise Unusable(400, "invalid_encoding", message, "pack it again") from error
    return bytes(out)


def parse(body: bytes) -> tuple[Any, bool]:
    """Parse a body; tell whether it was sound JSON.

    What isn't is read once more by a reader that lets pass what only single events of it may break (NaN, lone
    surrogates, endless numbers, hundreds of levels): the others are not refused for them.

    Raises:
        Unusable: it is no JSON by any reading.
    """
    try:
        return orjson.loads(body), True
    except orjson.JSONDecodeError as strict:
        try:
            with _deep():
                return json.loads(body, parse_int=_whole), False
        except (ValueError, RecursionError):
            hint = "send one JSON document, UTF-8, with Content-Type: application/json"
            raise Unusable(400, "invalid_json", f"the body is not JSON: {strict}", hint) from strict


def _whole(digits: str) -> float:
    """Python reads no longer numbers, and refuses the whole document for one."""
    return int(digits) if len(digits) < _DIGITS else inf


@contextmanager
def _deep() -> Iterator[None]:
    """Python's own reader and writer, deeper than they go by themselves."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, _DEEP))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def one(body: bytes, kind: str, value: Any, *, sound: bool) -> Piece:
    """Return the message of a single call; the path says the type.

    The bytes stay untouched unless the type is missing in them, the write key stands there, or only the
    second reader reads them (a byte order mark, UTF-16): whoever reads them later has the first.
    """
    if value.get("type") != kind or "writeKey" in value:
        rest = {name: field for name, field in value.items() if name not in ("type", "writeKey")}
        return piece({"type": kind} | rest, sound=sound)
    if sound:
        return Piece(body, value, body)
    made = piece(value, sound=False)
    return Piece(body if made.value is None else made.body, made.value, body)


def many(batch: dict[str, Any], *, sound: bool) -> list[Piece]:
    """Return the messages of a ``/v1/batch`` body, each with the batch's context, integrations and sentAt.

    A message's own fields win over the batch's, name by name.

    Raises:
        Unusable: it has no array of messages, or so many that it would be thousands of times its size.
    """
    messages = batch.get("batch")
    if not isinstance(messages, list):
        hint = 'send {"batch": [ … ]}, see Segment\'s HTTP API'
        raise Unusable(400, "invalid_body", "the body has no array named batch", hint)
    defaults = {name: batch[name] for name in _DEFAULTS if isinstance(batch.get(name), dict)}
    if isinstance(batch.get("sentAt"), str):
        defaults["sentAt"] = batch["sentAt"]
    repeated = len(messages) * len(piece(defaults, sound=sound).body)
    if len(messages) > _MESSAGES or repeated > _REPEATED_BYTES:
        message = f"the batch has {len(messages)} events, and what it says for all comes to {repeated} bytes"
        raise Unusable(413, "too_large", message, "send smaller batches")
    if not defaults:
        return [piece(message, sound=sound) for message in messages]
    return [_with(message, defaults, sound=sound) for message in messages]


def _with(message: object, defaults: dict[str, Any], *, sound: bool) -> Piece:
    if not isinstance(message, dict):
        return piece(message, sound=sound)
    named = str(message.get("messageId") or "").strip()
    content = b"" if named else piece(message, sound=sound).body
    for name, default in defaults.items():
        own = message.get(name)
        if own is None:
            message[name] = default
        elif isinstance(own, dict) and isinstance(default, dict):
            message[name] = default | own
    made = piece(message, sound=sound)
    return Piece(made.body, made.value, content or made.body)


def piece(value: Any, *, sound: bool) -> Piece:
    """Write one message of a body back to bytes; of an unsound body, say whether this one is sound."""
    if not sound:
        body = _dumped(value)
        return Piece(body, _loaded(body), body)
    try:
        body = orjson.dumps(value)
    except orjson.JSONEncodeError:  # nested deeper than its writer goes
        body = _dumped(value)
    return Piece(body, value, body)


def _dumped(value: Any) -> bytes:
    try:
        with _deep():
            return json.dumps(value).encode()
    except RecursionError as deep:  # as deep as the reader goes, which has a little more room than the writer
        hint = "leave out the event that is nested thousands of levels deep"
        raise Unusable(400, "invalid_json", "the body is nested too deeply", hint) from deep


def _loaded(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
