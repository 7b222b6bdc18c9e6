"""Who is who: strong identifiers join people, an anonymous id only points at one.

State of one space, read through a ``View`` that holds what a batch may touch:

- ``i`` + typed strong identifier → profile id (16 bytes); a merged profile's record says into which
- ``p`` + profile id → a ``Person``
- ``a`` + anonymous id → a ``Pointer``
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

import orjson

from streams.segment.envelope import Profile

ANONYMOUS_KEPT: Final = 5
"""Anonymous ids a profile carries along, newest last."""
USER_IDS_KEPT: Final = 100
"""User ids that a profile remembers, oldest first; aliases may join any number, and each leads to it."""


@dataclass(slots=True)
class Person:
    """One profile. ``rank`` is fixed when it is first created; the lower one wins a merge."""

    id: bytes
    rank: int
    email: str | None = None
    email_at: int = -1
    phone: str | None = None
    phone_at: int = -1
    user_id: str | None = None
    user_ids: list[str] = field(default_factory=list)
    anonymous_ids: list[str] = field(default_factory=list)
    into: bytes | None = None
    written: bytes | None = None
    """The profile as a record ends with it, kept while the person does not change."""

    def profile(self) -> Profile:
        """The form that later stages see."""
        return Profile(
            id=self.id.hex(),
            email=self.email,
            phone=self.phone,
            user_id=self.user_id,
            anonymous_ids=self.anonymous_ids,
            email_at=self.email_at,
            phone_at=self.phone_at,
        )

    def dump(self) -> bytes:
        """The state's bytes."""
        values = (
            self.rank,
            self.email,
            self.email_at,
            self.phone,
            self.phone_at,
            self.user_id,
            self.user_ids,
            self.anonymous_ids,
            self.into.hex() if self.into else None,
        )
        return orjson.dumps(values)

    @classmethod
    def load(cls, identity: bytes, data: bytes) -> "Person":
        """The reverse of ``dump``."""
        values = orjson.loads(data)
        if into := values.pop():
            values.append(bytes.fromhex(into))
        return cls(identity, *values)


@dataclass(slots=True)
class Pointer:
    """Whom an anonymous id was last seen with, and what is held for it."""

    person: bytes | None = None
    at: int = -1
    """Event time of the sighting; with ``event_id`` it decides which is the latest."""
    event_id: str = ""
    people: int = 0
    """Different people seen with it."""
    held_from: int = 0
    held_to: int = 0
    """Held events have the numbers from ``held_from`` up to but not including ``held_to``."""

    def dump(self) -> bytes:
        """The state's bytes."""
        person = self.person.hex() if self.person else None
        return orjson.dumps((person, self.at, self.event_id, self.people, self.held_from, self.held_to))

    @classmethod
    def load(cls, data: bytes) -> "Pointer":
        """The reverse of ``dump``."""
        person, *values = orjson.loads(data)
        return cls(bytes.fromhex(person) if person else None, *values)


def profile_of(key: bytes) -> bytes | None:
    """Whose ``Person`` stands under a key of the state; None for a key of anything else."""
    return key[1:] if key.startswith(b"p") else None


class View:
    """What a batch sees of the state, and what it changes. ``read`` fetches what was not foreseen."""

    def __init__(self, read: Callable[[bytes], bytes | None]) -> None:
        self._read = read
        self.owners: dict[str, bytes | None] = {}
        self._people: dict[bytes, Person] = {}
        self._pointers: dict[str, Pointer] = {}
        self._new_owners: set[str] = set()
        self._merged: list[Profile] = []
        self._changed_people: set[bytes] = set()
        self._changed_pointers: set[str] = set()

    def foresee(self, keys: list[bytes], values: list[bytes | None]) -> None:
        """Take in what was read ahead."""
        for key, value in zip(keys, values, strict=True):
            kind, name = key[:1], key[1:]
            if kind == b"i":
                self.owners[name.decode()] = value
            elif kind == b"a":
                self._pointers[name.decode()] = Pointer.load(value) if value else Pointer()
            elif value is not None:
                self._people[name] = Person.load(name, value)

    def owner(self, identifier: str) -> "Person | None":
        """The living profile that a strong identifier leads to."""
        if identifier not in self.owners:
            self.owners[identifier] = self._read(b"i" + identifier.encode())
        identity = self.owners[identifier]
        return None if identity is None else self.person(identity)

    def person(self, identity: bytes) -> Person:
        """The profile, or the one it was merged into; a chain of merges is walked once, then it is short."""
        found = self._profile(identity)
        passed: list[Person] = []
        while found.into is not None:
            passed.append(found)
            found = self._profile(found.into)
        for merged in passed[:-1]:
            merged.into = found.id
            self._changed_people.add(merged.id)
        return found

    def _profile(self, identity: bytes) -> Person:
        if (found := self._people.get(identity)) is None:
            data = self._read(b"p" + identity)
            if data is None:
                raise KeyError(identity)
            found = self._people[identity] = Person.load(identity, data)
        return found

    def pointer(self, anonymous_id: str) -> Pointer:
        """What is known of an anonymous id; an empty pointer for a new one."""
        if (found := self._pointers.get(anonymous_id)) is None:
            data = self._read(b"a" + anonymous_id.encode())
            found = self._pointers[anonymous_id] = Pointer.load(data) if data else Pointer()
        return found

    def pointed(self) -> list[bytes | None]:
        """Whom the pointers read so far point at."""
        return [pointer.person for pointer in self._pointers.values()]

    def create(self, identifier: str, rank: int) -> Person:
        """A new profile; ``rank`` is the offset that made it."""
        identity = blake2b(f"{identifier}\0{rank}".encode(), digest_size=16).digest()
        person = self._people[identity] = Person(identity, rank)
        self._changed_people.add(identity)
        return person

    def lead(self, identifier: str, person: Person) -> None:
        """Let a strong identifier lead to a person from now on."""
        if self.owners.get(identifier) != person.id:
            self.owners[identifier] = person.id
            self._new_owners.add(identifier)

    def touch(self, person: Person) -> None:
        """The person changed."""
        person.written = None
        self._changed_people.add(person.id)

    def touch_pointer(self, anonymous_id: str) -> None:
        """The pointer changed."""
        self._changed_pointers.add(anonymous_id)

    def joined(self, loser: Person) -> None:
        """A profile was merged away; whoever delivers must know."""
        self._merged.append(loser.profile())

    def take_merged(self) -> list[Profile]:
        """Profiles merged away since the last call."""
        merged, self._merged = self._merged, []
        return merged

    def changes(self) -> dict[bytes, bytes]:
        """All that changed, as the state's bytes."""
        found: dict[bytes, bytes] = {}
        for identifier in self._new_owners:
            if (owner := self.owners[identifier]) is not None:
                found[b"i" + identifier.encode()] = owner
        for identity in self._changed_people:
            found[b"p" + identity] = self._people[identity].dump()
        for name in self._changed_pointers:
            found[b"a" + name.encode()] = self._pointers[name].dump()
        return found
