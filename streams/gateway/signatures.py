"""Whose webhook it is: Segment's HMAC-SHA1 and Klaviyo's HMAC-SHA256, two secrets while rotating."""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import Enum
from hashlib import sha1, sha256

from streams.segment.times import epoch_ms

WHOLE_BODY_HEADER = "X-Segment-Signature"
"""HMAC-SHA1, hex, over the whole raw body."""
WEAK_HEADER = "X-Signature"
"""HMAC-SHA1, hex; for an array Segment signs the first element only: accepted, and known to be weak."""


class Signed(Enum):
    """What a webhook's signature covers."""

    WHOLE = "whole"
    FIRST = "first"
    NOT = "not"


def _matches(secrets: Iterable[str], digests: Mapping[str, str], given: str) -> str | None:
    """Name the digest that fits; compared in constant time, all of them whichever fits."""
    found = None
    expected = given.strip().lower().encode("ascii", "replace")
    for secret in secrets:
        digest = digests.get(secret)
        if digest is not None and hmac.compare_digest(digest.encode(), expected):
            found = secret
    return found


def _sha1(secrets: Iterable[str], body: bytes) -> dict[str, str]:
    return {secret: hmac.new(secret.encode(), body, sha1).hexdigest() for secret in secrets}


def segment(secrets: tuple[str, ...], body: bytes, whole: str | None, weak: str | None) -> Signed:
    """Check a Segment webhook.

    Args:
        secrets: the source's shared secrets, two while rotating; none means nothing fits.
        body: the raw body.
        whole: value of ``X-Segment-Signature``; where it is given, it alone counts.
        weak: value of ``X-Signature``.
    """
    if whole is not None:
        return Signed.WHOLE if _matches(secrets, _sha1(secrets, body), whole) else Signed.NOT
    if weak is None:
        return Signed.NOT
    if _matches(secrets, _sha1(secrets, body), weak):
        return Signed.WHOLE
    first = first_element(body)
    return Signed.FIRST if first and _matches(secrets, _sha1(secrets, first), weak) else Signed.NOT


def first_element(body: bytes) -> bytes | None:
    """Return the untouched bytes of an array's first element, when that is an object."""
    start = body.find(b"[")
    if start < 0 or body[:start].strip():
        return None
    start += 1
    while start < len(body) and body[start : start + 1].isspace():
        start += 1
    end = _object_end(body, start)
    return body[start:end] if end else None


def _object_end(body: bytes, start: int) -> int | None:
    """Return where the object that begins at ``start`` ends; braces inside strings don't count."""
    depth, inside, at = 0, False, start
    while at < len(body):
        byte = body[at]
        if inside:
            if byte == 0x5C:  # a backslash takes the next byte with it
                at += 1
            elif byte == 0x22:
                inside = False
        elif byte == 0x22:
            inside = True
        elif byte == 0x7B:
            depth += 1
        elif byte == 0x7D:
            depth -= 1
        if depth == 0 and not inside:
            return at + 1 if byte == 0x7D else None
        at += 1
    return None


@dataclass(frozen=True, slots=True)
class KlaviyoHeaders:
    """The three headers of a Klaviyo webhook, None where one is missing."""

    webhook_id: str | None
    timestamp: str | None
    signature: str | None


def klaviyo(
    secrets: tuple[str, ...], body: bytes, headers: KlaviyoHeaders, now_ms: int, tolerance_s: float
) -> str | None:
    """Say what is wrong with a Klaviyo webhook's signature; None when nothing is.

    The signature is the lower-case hex HMAC-SHA256 of the raw body followed by the timestamp header as sent.
    """
    if not headers.signature or not headers.timestamp or not headers.webhook_id:
        return "Klaviyo-Webhook-Id, Klaviyo-Timestamp and Klaviyo-Signature are all required"
    signed = body + headers.timestamp.encode("latin-1", "replace")
    digests = {secret: hmac.new(secret.encode(), signed, sha256).hexdigest() for secret in secrets}
    if not _matches(secrets, digests, headers.signature):
        return "Klaviyo-Signature does not fit the body, the timestamp and any secret of this account"
    sent = _header_time(headers.timestamp)
    if sent is None or abs(now_ms - sent) > tolerance_s * 1000:
        return f"Klaviyo-Timestamp is more than {tolerance_s:g} s away from this clock"
    return None


def _header_time(value: str) -> int | None:
    try:
        read = parsedate_to_datetime(value)
        return int((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return epoch_ms(value)
