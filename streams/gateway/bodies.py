"""A request's body → its messages: unpacked within a bound, parsed, batch defaults applied."""

import json
import zlib
from dataclasses import dataclass
from typing import Any

import orjson

_DEFAULTS = ("context", "integrations")


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
    try:
        while body:
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
    surrogates): the others are not refused for them.

    Raises:
        Unusable: it is no JSON by any reading.
    """
    try:
        return orjson.loads(body), True
    except orjson.JSONDecodeError as strict:
        try:
            return json.loads(body), False
        except (ValueError, RecursionError):
            hint = "send one JSON document, UTF-8, with Content-Type: application/json"
            raise Unusable(400, "invalid_json", f"the body is not JSON: {strict}", hint) from strict


def one(body: bytes, kind: str, value: Any, *, sound: bool) -> Piece:
    """Return the message of a single call; the path says the type.

    The bytes stay untouched unless the type is missing in them or the write key stands there.
    """
    if value.get("type") != kind or "writeKey" in value:
        rest = {name: field for name, field in value.items() if name not in ("type", "writeKey")}
        return piece({"type": kind} | rest, sound=sound)
    return Piece(body, value if sound else piece(value, sound=False).value, body)


def many(batch: dict[str, Any], *, sound: bool) -> list[Piece]:
    """Return the messages of a ``/v1/batch`` body, each with the batch's context, integrations and sentAt.

    A message's own fields win over the batch's, name by name.
    """
    messages = batch.get("batch")
    if not isinstance(messages, list):
        hint = 'send {"batch": [ … ]}, see Segment\'s HTTP API'
        raise Unusable(400, "invalid_body", "the body has no array named batch", hint)
    defaults = {name: batch[name] for name in _DEFAULTS if isinstance(batch.get(name), dict)}
    if isinstance(batch.get("sentAt"), str):
        defaults["sentAt"] = batch["sentAt"]
    if not defaults:
        return [piece(message, sound=sound) for message in messages]
    return [_with(message, defaults, sound=sound) for message in messages]


def _with(message: object, defaults: dict[str, Any], *, sound: bool) -> Piece:
    if not isinstance(message, dict):
        return piece(message, sound=sound)
    content = b"" if message.get("messageId") else piece(message, sound=sound).body
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
    try:
        if not sound:
            body = json.dumps(value).encode()
            return Piece(body, _loaded(body), body)
        try:
            body = orjson.dumps(value)
        except orjson.JSONEncodeError:  # nested deeper than its writer goes
            body = json.dumps(value).encode()
    except RecursionError as deep:
        hint = "leave out the event that is nested hundreds of levels deep"
        raise Unusable(400, "invalid_json", "the body is nested too deeply", hint) from deep
    return Piece(body, value, body)


def _loaded(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
