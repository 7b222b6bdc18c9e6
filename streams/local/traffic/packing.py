"""Messages → HTTP requests as Segment's libraries and its webhook send them."""

import gzip
import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha1
from itertools import islice

from streams.local.traffic.message import Message

BATCH = 100
MOST_BYTES = 400_000
"""Under Segment's 500 kB a batch, with room for the envelope."""
_SINGLES = 10
"""Of every tenth hundred, this many go by a call of their own."""
_KINDS = frozenset({"track", "identify", "page", "screen", "group", "alias"})


@dataclass(frozen=True, slots=True)
class Webhook:
    """Segment's webhook destination of a source."""

    source: str
    secret: str


@dataclass(frozen=True, slots=True)
class Request:
    """One request, the same bytes in every try."""

    path: str
    body: bytes
    messages: int
    headers: dict[str, str] = field(default_factory=dict)
    signed: bool = False
    """Let in by its signature, not by the write key."""


def pack(messages: Iterable[Message], webhook: Webhook | None) -> Iterator[Request]:
    """Pack messages in order: of ten hundreds, one goes in part by single calls and one by the webhook.

    Every fourth batch is gzipped. A message that is no JSON would spoil a batch, so it goes alone.
    """
    rest = iter(messages)
    number = 0
    while hundred := list(islice(rest, BATCH)):
        place = number % 10
        alone = _SINGLES if place == 0 else 0
        yield from map(_single, hundred[:alone])
        yield from (_single(message) for message in hundred[alone:] if not message.is_json)
        sound = [message for message in hundred[alone:] if message.is_json]
        for part in _parts(sound):
            if webhook is not None and place == 5:
                yield _webhook(part, webhook)
            else:
                yield _batch(part, packed=number % 4 == 1)
        number += 1


def _parts(messages: list[Message]) -> Iterator[list[Message]]:
    part: list[Message] = []
    size = 0
    for message in messages:
        if part and size + len(message.body) > MOST_BYTES:
            yield part
            part, size = [], 0
        part.append(message)
        size += len(message.body) + 1
    if part:
        yield part


def _single(message: Message) -> Request:
    if message.type not in _KINDS:
        return _batch([message], packed=False)
    return Request(f"/v1/{message.type}", message.body, 1)


def _batch(messages: list[Message], *, packed: bool) -> Request:
    body = b'{"batch":[' + b",".join(message.body for message in messages) + b"]}"
    if packed:
        body = gzip.compress(body, 1, mtime=0)
    return Request("/v1/batch", body, len(messages), {"Content-Encoding": "gzip"} if packed else {})


def _webhook(messages: list[Message], webhook: Webhook) -> Request:
    body = b"[" + b",".join(message.body for message in messages) + b"]"
    signature = hmac.new(webhook.secret.encode(), body, sha1).hexdigest()
    headers = {"X-Segment-Signature": signature}
    return Request(f"/segment/{webhook.source}", body, len(messages), headers, signed=True)
