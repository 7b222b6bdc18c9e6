"""The envelope: one accepted Segment message as ``segment.events`` holds it (``avro/envelope.avsc``)."""

from hashlib import blake2b
from typing import NotRequired, TypedDict


class Lead(TypedDict):
    """The envelope's first fields: all that dedupe reads."""

    uid: bytes
    space: str
    accepted_at: int


class Identity(Lead):
    """Everything but the body: what identify reads. An empty string is an absent value."""

    event_id: str
    type: str
    name: str
    user_id: str
    anonymous_id: str
    email: str
    phone: str
    country: str
    previous_id: str
    time: int
    source: str
    trace_id: str


class Envelope(Identity):
    """The whole record."""

    body: bytes


class Origin(TypedDict):
    """Where a record entered the line (``line`` is "events" or "engagement")."""

    line: str
    space: str
    partition: int
    offset: int
    accepted_at: int
    replay: str | None


class Profile(TypedDict):
    """One person, as identify knows them after an event; ``_at``: since when, ms; -1 is not known."""

    id: str
    email: str | None
    phone: str | None
    user_id: str | None
    anonymous_ids: list[str]
    email_at: NotRequired[int]
    phone_at: NotRequired[int]


class Engagement(TypedDict):
    """One Klaviyo event on its way back (``avro/engagement.avsc``)."""

    space: str
    accepted_at: int
    event_id: str
    account: str
    topic: str
    email: str | None
    phone: str | None
    external_id: str | None
    klaviyo_id: str | None
    time: int
    body: bytes


class ProfileEvent(TypedDict):
    """A message or an engagement with the person it belongs to (``avro/profile_event.avsc``)."""

    origin: Origin
    profile: Profile
    late: bool
    event: bytes
    merged: list[Profile]


def typed_identifier(
    user_id: str | None, anonymous_id: str | None, email: str | None, phone: str | None
) -> str | None:
    """``u:``, ``a:``, ``e:`` or ``p:`` and the first identifier there is; None when there is none."""
    if user_id:
        return "u:" + user_id
    if anonymous_id:
        return "a:" + anonymous_id
    if email:
        return "e:" + email
    return "p:" + phone if phone else None


def event_uid(space: str, identifier: str, message_id: str | None, body: bytes) -> bytes:
    """16 bytes that a redelivery of the same message has too: dedupe's key, and the root of every op id."""
    content = message_id.encode() if message_id else body
    return blake2b(b"\0".join((space.encode(), identifier.encode(), content)), digest_size=16).digest()
