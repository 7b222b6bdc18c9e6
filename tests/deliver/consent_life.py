"""One process of a history of consent: the family's own code, single steps instead of the sender's loop."""

from collections.abc import Iterator
from itertools import count
from math import inf
from typing import Any, cast

from streams.deliver import intent
from streams.deliver.consent.family import Consent
from streams.deliver.desk import Desk
from streams.deliver.judge import Standing
from streams.deliver.row import Row
from streams.deliver.sending import ending
from streams.deliver.sending.intake import Intake
from streams.deliver.sending.lane import Lane
from streams.deliver.sending.planner import Call, Plan, Planner
from streams.deliver.sending.settling import Settling
from streams.engine.outbox import Outbox
from streams.klaviyo import replies
from streams.klaviyo.replies import Accepted, Reply
from streams.klaviyo.requests import Request
from streams.ledger.reasons import Outcome
from tests.deliver.consent_klaviyo import EMAIL
from tests.deliver.consent_world import TOPICS, Story

_PAUSES = (3, 40, 700, 2500)
_HTML = {"content-type": "text/html"}


class Room:
    """A budget that is never used up; a 429 holds it up."""

    def __init__(self) -> None:
        self._until = -inf

    def next(self, now: float) -> float:
        return max(now, self._until)

    def reserve(self, now: float, lasts: float) -> tuple[int, float] | None:
        return None if now < self._until else (1, now)

    def throttled(self, now: float, after: float) -> None:
        self._until = now + after


class Rooms:
    """Of an account."""

    def __init__(self) -> None:
        self._room = Room()

    def budget(self, name: str) -> Room:
        return self._room


class Away:
    """The client's part that is asked for without calling."""

    def timeout_s(self, bulk: bool) -> float:
        return 30.0 if bulk else 10.0


class Store:
    """The slot's store."""

    def __init__(self, data: dict[bytes, bytes]) -> None:
        self.get = data.get
        self._data = data

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        return [self.get(key) for key in keys]

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        return iter([(key, value) for key, value in self._data.items() if key.startswith(prefix)])


class Slot:
    """One partition in one process."""

    def __init__(self, story: Story) -> None:
        self.store = Store(story.store)
        self.restored_position = story.positions.get


class Dead(Exception):
    """kill -9."""


class Life:
    """One process, restored from what was committed."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.desk = Desk(
            "a", "a", cast("Any", Away()), cast("Any", Rooms()),
            decode=lambda value: story.ops[int(value)], outcome=cast("Any", dict),
            dead_letter=cast("Any", dict), paused=lambda _: None, tries=1000, probe_s=5.0,
            clock=lambda: story.now / 1000, wall=lambda: story.now / 1000, random=story.chance,
        )  # fmt: skip
        self.family, self.lane = Consent(), Lane()
        slot = cast("Any", Slot(story))
        self.intake = Intake(self.desk, self.family, slot, self.lane)
        self.intake.restore(TOPICS)
        numbers = count()
        self.planner = Planner(self.desk, self.family, self.lane, lambda: f"{story.calls}-{next(numbers)}")
        self.settling = Settling(self.desk, self.family, self.lane, self.intake, self.planner, Standing(1000))
        self.open: list[Call] = []
        self.results: list[Call] = []
        self.wake_at = inf

    def feed(self) -> None:
        """Take in what came."""
        for topic in TOPICS:
            log, position = self.story.topics[topic], self.intake.positions[topic]
            if position.read < len(log):
                self.intake.take(topic, cast("Any", log[position.read :]))

    def step(self) -> None:
        """One transaction, then its calls leave."""
        story, outbox = self.story, Outbox()
        now = self.desk.clock()
        results, self.results = self.results, []
        self.settling.settle(outbox, results)
        plan = self._plan(outbox, now)
        self.settling.end(outbox, plan.ended)
        self.settling.silent(outbox, plan)
        for call in plan.calls:
            self._intend(outbox, call)
        ending.positions(outbox, self.intake)
        ending.marks(outbox, self.intake)
        if outbox.changes or outbox.positions or outbox.outcomes:
            self._commit(outbox)
            self.open += plan.calls
            self.desk.ahead.committed(outbox.changes)
        again = self.settling.committed()
        self.wake_at = now if again or plan.silent or plan.ended else min(plan.wake_at, self._next())
        story.now += story.chance.choice(_PAUSES) if story.chance.random() < 0.3 else 1

    def _next(self) -> float:
        event = self.lane.next_event()
        return inf if event is None else event

    def _plan(self, outbox: Outbox, now: float) -> Plan:
        read = self._reader(outbox)
        settling = self.settling
        if settling.stopped is None:
            return self.planner.plan(now, len(self.open), read)
        for group in self.planner.dissolve():
            outbox.delete(intent.key(self.family.name, group.id))
        if now < settling.probe_at or self.open:
            return Plan(wake_at=inf if self.open else settling.probe_at)
        plan = self.planner.probe(now, read)
        if plan.calls:
            settling.probe_at = now + self.desk.probe_s
        return plan

    def _reader(self, outbox: Outbox) -> Any:
        changes, read = outbox.changes, self.intake.read
        return lambda key: changes[key] if key in changes else read(key)

    def _intend(self, outbox: Outbox, call: Call) -> None:
        now_ms = self.desk.now_ms()
        group = call.group
        outbox.put(intent.key(self.family.name, group.id), intent.form(group.rows, now_ms, call.lasts))
        for row in group.rows:
            row.tried = True
            ending.uncover(outbox, self.intake, row.topic, row.offset)
        changes = self.family.intends(group, now_ms)
        outbox.changes.update(changes)
        self.desk.ahead.write(changes)

    def _commit(self, outbox: Outbox) -> None:
        story = self.story
        if story.chance.random() < 0.01:
            raise Dead
        for key, value in outbox.changes.items():
            if value is None:
                story.store.pop(key, None)
            else:
                story.store[key] = value
        story.positions |= outbox.positions
        for outcome in cast("list[dict[str, Any]]", outbox.outcomes):
            assert outcome["outcome"] != Outcome.DEAD_LETTERED, outcome
            story.ends[outcome["delivery_id"]] = outcome["outcome"]
            word = story.words[outcome["delivery_id"]]
            if word.kind in ("unsubscribe", "suppress", "click", "spam"):
                parts = (EMAIL,) if word.kind == "suppress" else word.parts
                for part in parts:
                    story.no(word.who, part, word.time)
        if story.chance.random() < 0.01:
            raise Dead

    def answer(self) -> None:
        """One of the open calls gets what it gets."""
        story = self.story
        call = self.open.pop(story.chance.randrange(len(self.open)))
        story.calls += 1
        fate = story.chance.random()
        if fate < 0.84:
            reply = self.take(call)
            if fate > 0.80:
                reply = replies.no_answer("ServerDisconnectedError")
        else:
            reply = _failure(fate, call.request)
        call.reply = reply
        self.results.append(call)

    def take(self, call: Call) -> Reply:
        """Klaviyo does it; nobody is subscribed by what is older than a no."""
        story = self.story
        reply = story.klaviyo.take(call.request, story.now)
        if "subscription-bulk-create" in call.request.path and isinstance(reply.verdict, Accepted):
            for row in call.group.rows:
                _held_to(story, row)
        return reply

    def die(self) -> None:
        """What is under way may arrive or not."""
        for call in self.open:
            if self.story.chance.random() < 0.5:
                self.take(call)

    @property
    def idle(self) -> bool:
        """Whether nothing is under way now."""
        return not self.open and not self.results


def _held_to(story: Story, row: Row) -> None:
    given = story.words[row.op["op_id"]].time
    for part in row.ready.open:
        no = story.newest_no(row, part)
        assert given > no, f"{part} of {row.person}, given {given}, refused {no}"


def _failure(fate: float, request: Request) -> Reply:
    if fate < 0.90:
        return replies.no_answer("ServerDisconnectedError")
    if fate < 0.94:
        return replies.read(503, {}, b"", request)
    if fate < 0.97:
        return replies.read(429, {"retry-after": "1"}, b"", request)
    if fate < 0.98:
        return replies.read(401, {}, b'{"errors":[{"detail":"key"}]}', request)
    return replies.read(403, _HTML, b"<html>", request)
