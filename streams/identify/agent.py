"""Identify: one writer per space says who each event belongs to, in one order."""

from collections.abc import Callable, Sequence
from itertools import islice
from time import time
from typing import Any, ClassVar, Final, cast
from weakref import WeakKeyDictionary

from streams.engine import topics
from streams.engine.codec import framed_bytes
from streams.engine.errors import Unreadable
from streams.engine.inbox import Batch, Record
from streams.engine.outbox import Outbox
from streams.engine.partition import partition_of
from streams.engine.slot import Slot
from streams.engine.stage import Context, run_batches
from streams.identify import holds
from streams.identify.people import Person, Pointer, View
from streams.identify.resolve import Policy, Shown, create_anonymous, keys_of, resolve, shown
from streams.ledger.reasons import Outcome, Reason
from streams.ledger.writer import Ledger, origin_of_unreadable
from streams.segment.envelope import Engagement, Identity, Origin, Profile
from streams.segment.identifiers import normal_email

EXPIRED_A_TICK: Final = 2000
FORWARD: Final = "profile.events"

Wanted = Callable[[str, str | None], bool]
"""Whether some rule could want an event of this type and name: nothing else is worth holding."""


class Identify:
    """``segment.unique`` and ``klaviyo.engagement`` → ``profile.events``."""

    name: ClassVar[str] = "identify"
    inputs: ClassVar[tuple[str, ...]] = topics.inputs("identify")
    packed: ClassVar[bool] = False
    schemas: ClassVar[tuple[str, ...]] = (
        "segment.events",
        "segment.unique",
        "klaviyo.engagement",
        "profile.events",
        "outcomes",
        "dead.letters",
    )

    def __init__(self, context: Context, wanted: Wanted) -> None:
        identity = context.config.identity
        self._registry = context.registry
        self._partitions = context.config.partitions
        self._policy = Policy(
            merge_on_phone=identity.merge_on_phone,
            blocked=frozenset(value.lower() for value in identity.blocked),
            shared_device_people=identity.shared_device_people,
            max_user_ids=identity.max_user_ids,
            default_country=identity.default_country,
        )
        self._wanted = wanted
        self._anonymous = identity.anonymous
        self._hold_ms = int(identity.hold_hours * holds.HOUR_MS)
        self._hold_each = identity.hold_each
        self._late_ms = int(identity.late_hours * holds.HOUR_MS)
        self._unique = context.registry.codec("unique")
        self._identity = context.registry.codec("envelope").prefix(upto="time")
        self._engagement = context.registry.codec("engagement").prefix(upto="time")
        self._profile_event = context.registry.codec("profile_event")
        self._ending = self._profile_event.suffix(after="origin")
        self._ledger = Ledger(context.registry, self.name)
        self._expired: WeakKeyDictionary[Slot, bytes] = WeakKeyDictionary()
        """Where the last tick stopped, if it let some go."""

    async def run(self, slot: Slot) -> None:
        """Live one space."""
        await run_batches(slot, self._registry, self.step)

    async def close(self) -> None:
        """Nothing is shared."""

    def step(self, batch: Batch, slot: Slot) -> Outbox | None:
        """One batch of either input, or a tick, which lets what was held for too long go."""
        if not batch.records:
            return self._expire(slot)
        outbox = Outbox()
        take = self._events if batch.topic.startswith("segment.") else self._engagements
        last = take(batch, slot, outbox)
        outbox.position(batch.topic, batch.records[-1].offset + 1, last)
        return outbox

    def _events(self, batch: Batch, slot: Slot, outbox: Outbox) -> int | None:
        events: list[tuple[Record, Identity, Shown]] = []
        for record in batch.records:
            try:
                identity = self._read(record)
            except Unreadable as why:
                self._refuse(outbox, record, slot.partition, why, line=batch.topic)
            else:
                events.append((record, identity, shown(identity, self._policy)))
        view = self._view(slot, [seen for *_, seen in events])
        for record, identity, seen in events:
            person = resolve(identity, seen, record.offset, view, self._policy)
            if person is None:
                person = self._unknown(identity, seen, record, view, slot, outbox)
            if person is not None:
                self._release(identity, seen, person, view, slot, outbox)
                merged, late = view.take_merged(), self._late(batch, record, identity)
                self._forward(outbox, batch.onward(FORWARD), record.value, person, late=late, merged=merged)
        outbox.changes.update(view.changes())
        return events[-1][1]["accepted_at"] if events else None

    def _late(self, batch: Batch, record: Record, event: Identity) -> bool:
        """Whether a replay or redrive brings it so late that no flow should fire."""
        return (
            batch.backfill
            and time() * 1000 - event["accepted_at"] > self._late_ms
            and self._origin(record.value)["replay"] is not None
        )

    def _read(self, record: Record) -> Identity:
        """Who it shows, without the body; ``segment.unique`` stays as it is, to be appended to."""
        if record.value[:5] not in self._unique.frames:
            record.value = self._unique.encode(self._unique.decode(record.value))
        return cast("Identity", self._identity(framed_bytes(record.value)))

    def _origin(self, value: bytes) -> Origin:
        origin: Origin = self._unique.decode(value)["origin"]
        return origin

    def _view(self, slot: Slot, everybody: list[Shown]) -> View:
        """Read what the batch will touch in two reads: who owns the identifiers, then those people."""
        view = View(slot.store.get)
        keys = list(dict.fromkeys(key for seen in everybody for key in keys_of(seen, self._policy)))
        values = slot.store.get_many(keys)
        view.foresee(keys, values)
        people = {b"p" + owner for owner in view.owners.values() if owner}
        people |= {b"p" + person for person in view.pointed() if person}
        ordered = list(people)
        view.foresee(ordered, slot.store.get_many(ordered))
        return view

    def _unknown(
        self, event: Identity, seen: Shown, record: Record, view: View, slot: Slot, outbox: Outbox
    ) -> Person | None:
        """Nobody is known for the event: hold it, make somebody, or let it go, each with its outcome."""
        if seen.anonymous_id is None:
            detail = f"no usable identifier: userId {event['user_id']!r}, email {event['email']!r}"
            origin = self._origin(record.value)
            letter = self._ledger.dead_letter(
                origin, event["event_id"], Reason.NO_IDENTIFIER, detail, record.value
            )
            outbox.dead_letter(letter)
            return None
        if self._anonymous == "send":
            at = min(event["time"], event["accepted_at"])
            return create_anonymous(seen.anonymous_id, record.offset, at, event["event_id"], view)
        pointer = view.pointer(seen.anonymous_id)
        if pointer.held_to - pointer.held_from >= self._hold_each:
            self._make_room(seen.anonymous_id, pointer, slot, outbox)
        outcome, reason = self._fate(event, pointer)
        if outcome is Outcome.HELD:
            for key, value in holds.hold(seen.anonymous_id, pointer, event["accepted_at"], record.value):
                outbox.put(key, value)
            view.touch_pointer(seen.anonymous_id)
        origin = self._origin(record.value)
        outbox.outcome(self._ledger.outcome(origin, event["event_id"], outcome, reason))
        return None

    def _make_room(self, anonymous_id: str, pointer: Pointer, slot: Slot, outbox: Outbox) -> None:
        def held(number: int) -> bool:
            key = holds.held_key(anonymous_id, number)
            return bool(outbox.changes.get(key) or slot.store.get(key))

        holds.make_room(pointer, held)

    def _fate(self, event: Identity, pointer: Pointer) -> tuple[Outcome, Reason]:
        if self._anonymous == "drop":
            return Outcome.FILTERED, Reason.ANONYMOUS
        if not self._wanted(event["type"], event["name"]):
            return Outcome.FILTERED, Reason.NOT_WANTED
        if pointer.held_to - pointer.held_from >= self._hold_each:
            return Outcome.FILTERED, Reason.HOLD_FULL
        return Outcome.HELD, Reason.ANONYMOUS

    def _release(
        self, event: Identity, seen: Shown, person: Person, view: View, slot: Slot, outbox: Outbox
    ) -> None:
        """Somebody is known now: what was held for the anonymous id goes first, in order."""
        if seen.anonymous_id is None:
            return
        pointer = view.pointer(seen.anonymous_id)
        if pointer.held_from == pointer.held_to or pointer.person != person.id:
            return
        keys = holds.held_keys(seen.anonymous_id, pointer)
        found = [outbox.changes.get(k) or s for k, s in zip(keys, slot.store.get_many(keys), strict=True)]
        for accepted_at, record, gone in holds.release(seen.anonymous_id, pointer, found):
            late = event["accepted_at"] - accepted_at > self._late_ms
            self._forward(outbox, FORWARD, record, person, late=late)
            for key in gone:
                outbox.delete(key)
        view.touch_pointer(seen.anonymous_id)

    def _expire(self, slot: Slot) -> Outbox | None:
        """Let so many go; the next tick goes on behind them: to pass what was deleted takes time, too."""
        outbox = Outbox()
        before = slot.clock - self._hold_ms
        for key, _ in islice(slot.store.scan(b"x", self._expired.pop(slot, b"")), EXPIRED_A_TICK):
            accepted_at, number, anonymous_id = holds.parse_expiry(key)
            if accepted_at >= before:
                break
            held = holds.held_key(anonymous_id, number)
            if (value := slot.store.get(held)) is not None:
                unique = self._unique.decode(value[8:])
                event_id = self._identity(unique["event"])["event_id"]
                outbox.outcome(
                    self._ledger.outcome(unique["origin"], event_id, Outcome.EXPIRED, Reason.HOLD_EXPIRED)
                )
                outbox.delete(held)
            outbox.delete(key)
            self._expired[slot] = key
        return outbox if outbox.changes else None

    def _engagements(self, batch: Batch, slot: Slot, outbox: Outbox) -> int | None:
        view = View(slot.store.get)
        last = None
        for record in batch.records:
            try:
                engagement = cast("Engagement", self._engagement(record.value))
            except Unreadable as why:
                self._refuse(outbox, record, slot.partition, why, line=topics.line(batch.topic))
                continue
            last = engagement["accepted_at"]
            origin = Origin(
                line=topics.line(batch.topic),
                space=engagement["space"],
                partition=slot.partition,
                offset=record.offset,
                accepted_at=last,
                replay=None,
            )
            profile = _known(engagement, view)
            key = (profile["id"] or profile["email"] or engagement["event_id"]).encode()
            value = self._profile_event.encode({"event": record.value, "origin": origin, "profile": profile})
            outbox.send(batch.onward(FORWARD), partition_of(key, self._partitions), key, value)
        return last

    def _forward(
        self,
        outbox: Outbox,
        topic: str,
        unique: bytes,
        person: Person,
        *,
        late: bool = False,
        merged: Sequence[Profile] = (),
    ) -> None:
        """Append the person: a profile event begins as the record of ``segment.unique``."""
        ordinary = not late and not merged
        ending = person.written if ordinary else None
        if ending is None:
            ending = self._ending({"profile": person.profile(), "late": late, "merged": merged})
            person.written = ending if ordinary else None
        key = person.id.hex().encode()
        value = b"".join((self._profile_event.frame, unique[5:], ending))
        outbox.send(topic, partition_of(key, self._partitions), key, value)

    def _refuse(self, outbox: Outbox, record: Record, partition: int, why: Unreadable, line: str) -> None:
        origin = origin_of_unreadable(line, partition, record)
        outbox.dead_letter(self._ledger.dead_letter(origin, "", Reason.UNREADABLE, str(why), record.value))


def _known(engagement: Engagement, view: View) -> Profile:
    """Whose engagement it is: whom the line knows, else what Klaviyo says of the profile. Creates nobody."""
    email = normal_email(engagement["email"]) if engagement["email"] else None
    named: dict[str, Any] = {"u:": engagement["external_id"], "e:": email}
    for kind, value in named.items():
        if value and (person := view.owner(kind + value)) is not None:
            return person.profile()
    return Profile(
        id="", email=email, phone=engagement["phone"], user_id=engagement["external_id"], anonymous_ids=[]
    )
