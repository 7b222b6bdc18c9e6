"""A history of consent from its words to what Klaviyo has in the end.

Real are the consent family, permission, intake, lane, planner, settling, intents and the state they leave.
Left out or modelled: Kafka (a list, committed whole or not at all), HTTP and Klaviyo (a model of its consent
rules), budgets (there is always room), the sender's loop (here it is one step after the other, by a clock
that only the story moves), and the admin lane: a merge is what it leaves in the state.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from math import inf
from random import Random
from typing import Any, NamedTuple, cast

import orjson

from streams.deliver import ending, intent, notices
from streams.deliver.consent import Consent
from streams.deliver.desk import Desk
from streams.deliver.intake import Intake
from streams.deliver.judge import Standing
from streams.deliver.lane import Lane
from streams.deliver.planner import Call, Plan, Planner
from streams.deliver.row import Row
from streams.deliver.settling import Settling
from streams.engine.outbox import Outbox
from streams.klaviyo import replies
from streams.klaviyo.observations import stranger
from streams.klaviyo.replies import Accepted, Reply
from streams.klaviyo.requests import Request
from streams.ledger.reasons import Outcome
from tests.deliver.consent_klaviyo import EMAIL, SMS, Klaviyo, email, phone

START = 1_800_000_000_000
TOPICS = ("klaviyo.consent", "klaviyo.consent.backfill")
KINDS = ("subscribe", "subscribe", "unsubscribe", "suppress", "unsuppress", "click", "spam")
"""The last two happen at Klaviyo, which may tell us."""
CHANNELS: tuple[tuple[str, ...], ...] = ((EMAIL,), (EMAIL,), (SMS,), (EMAIL, SMS))
_PAUSES = (3, 40, 700, 2500)
_HTML = {"content-type": "text/html"}


class Record(NamedTuple):
    offset: int
    key: None
    value: bytes


@dataclass(slots=True)
class Word:
    """Something a person said: of ``parts``, at a time (ms)."""

    kind: str
    who: int
    parts: tuple[str, ...]
    time: int


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


@dataclass(slots=True)
class Story:
    """All that outlives a process: topics, state, positions, Klaviyo; and what was said and became of it."""

    chance: Random
    merges: bool = False
    klaviyo: Klaviyo = field(default_factory=Klaviyo)
    ops: list[dict[str, Any]] = field(default_factory=list)
    words: dict[str, Word] = field(default_factory=dict)
    topics: dict[str, list[Record]] = field(default_factory=lambda: {name: [] for name in TOPICS})
    store: dict[bytes, bytes] = field(default_factory=dict)
    positions: dict[str, Any] = field(default_factory=dict)
    now: int = START
    ends: dict[str, str] = field(default_factory=dict)
    noes: dict[tuple[int, str], int] = field(default_factory=dict)
    """Person and part → the newest no that must count by now: those that ended here."""
    there: dict[tuple[int, str], int] = field(default_factory=dict)
    """The same of those said to Klaviyo, by its profile: one merged into another takes them along."""
    merged: bool = False
    forgetful: bool = False
    """Somebody deletes profiles at Klaviyo: what was said there is known only if we were told."""
    calls: int = 0

    def person(self, who: int) -> int:
        """After the merge they are one."""
        return 0 if self.merged else who

    def say(self, word: Word) -> dict[str, Any]:
        """The operation of a word, always the same."""
        channels = {part.partition(".")[0]: ["marketing"] for part in word.parts}
        payload: dict[str, Any] = {"channels": channels}
        kind = word.kind
        if kind in ("click", "spam"):
            kind, payload["status"] = "observed", "unsubscribed"
        who = f"p{word.who}"
        op = {
            "kind": kind, "time": word.time, "payload": orjson.dumps(payload), "op_id": f"op{len(self.ops)}",
            "event_id": "", "account": "a", "profile": profile(word.who, who),
            "origin": {"accepted_at": max(self.now, word.time), "replay": None},
        }  # fmt: skip
        if kind == "observed" and not self.merges and self.chance.random() < 0.3:
            op["profile"]["id"] = stranger(email(word.who), None)
        self.words[op["op_id"]] = word
        self.ops.append(op)
        return op

    def deliver(self, op: dict[str, Any], topic: str) -> None:
        """Append it (again)."""
        self.now = max(self.now, op["time"])
        log = self.topics[topic]
        log.append(Record(len(log), None, b"%d" % self.ops.index(op)))

    def no(self, who: int, part: str, time: int) -> None:
        """From now on this no must count."""
        key = who, part
        self.noes[key] = max(self.noes.get(key, 0), time)

    def newest_no(self, row: Row, part: str) -> int:
        """That must count for a row that is sent now."""
        who = self.words[row.op["op_id"]].who
        people = (0, 1) if self.merged else (who,)
        addressed = 0 if row.into is not None else who
        here = max(self.noes.get((each, part), 0) for each in people)
        return max(here, self.there.get((addressed, part), 0))

    def click(self, word: Word) -> None:
        """A person tells Klaviyo, now."""
        word.time = self.now
        reason = "SPAM_REPORT" if word.kind == "spam" else "UNSUBSCRIBE"
        word.parts = (EMAIL,) if word.kind == "spam" else word.parts
        for part in word.parts:
            who = self.person(word.who)
            self.klaviyo.person(who).unsubscribe(part, self.now // 1000, reason)
            self.there[who, part] = word.time

    def merge(self) -> None:
        """The second person becomes the first: what the admin lane leaves, and what Klaviyo does."""
        self.merged = True
        into = cast("Any", profile(0, "p0"))
        self.store.update(notices.merged("p0", "p1", into, self.now, self.store.get))
        self.forget(1)

    def forget(self, who: int) -> None:
        """The profile is deleted at Klaviyo."""
        self.klaviyo.people.pop(who, None)
        self.there = {(each, part): time for (each, part), time in self.there.items() if each != who}

    def done(self) -> bool:
        """Whether every record has been seen to."""
        return all(
            not log or self.positions.get(topic, {"next": 0})["next"] >= len(log)
            for topic, log in self.topics.items()
        )


def profile(who: int, name: str) -> dict[str, Any]:
    return {"id": name, "email": email(who), "phone": phone(who), "user_id": None, "anonymous_ids": []}


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


def live(story: Story, steps: int, clicks: list[Word], then: list[Word]) -> None:
    """One life of so many steps; clicks happen when no call of their person is being prepared.

    Between the question about a person and the call only Klaviyo could tell, and for consent given within
    the last five minutes it does not.
    """
    life = Life(story)
    try:
        for _ in range(steps):
            life.feed()
            while clicks and not life.lane.busy(f"p{story.person(clicks[-1].who)}"):
                word = clicks.pop()
                story.click(word)
                then.append(word)
            busy = life.lane.busy("p0") or life.lane.busy("p1")
            if story.merges and not story.merged and not busy and story.chance.random() < 0.2:
                story.merge()
            if story.forgetful and not life.lane.busy("p0") and story.chance.random() < 0.1:
                story.forget(0)
            life.step()
            if life.open:
                if story.chance.random() < 0.9:
                    life.answer()
            elif life.idle and life.wake_at > story.now / 1000:
                if life.wake_at == inf:
                    if story.done() and not clicks:
                        return
                    story.now += 200
                else:
                    story.now = max(story.now + 1, int(life.wake_at * 1000) + 1)
    except Dead:
        pass
    life.die()


def tell(seed: int) -> dict[str, str]:
    """One whole history; fails if anybody is subscribed against the newest word.

    Returns:
        Op id → how it ended.
    """
    chance = Random(seed)
    story = Story(chance, merges=chance.random() < 0.2, forgetful=chance.random() < 0.2)
    people = 2 if story.merges or chance.random() < 0.3 else 1
    tells = chance.random() < 0.7
    said: list[Word] = []
    waiting: list[tuple[dict[str, Any], str]] = []
    clicks: list[Word] = []
    ago = chance.choice(((-8, 2), (2, 12), (2, 290), (2, 900)))
    within = chance.choice((1, 1000))
    for _ in range(chance.randint(1, 7)):
        at = START - chance.randint(*ago) * 1000 + chance.randrange(within)
        word = Word(chance.choice(KINDS), chance.randrange(people), chance.choice(CHANNELS), at)
        said.append(word)
        if word.kind in ("click", "spam"):
            clicks.append(word)
            continue
        op = story.say(word)
        times = chance.choice((1, 1, 2, 3))
        waiting += [(op, chance.choice((TOPICS[0], TOPICS[0], TOPICS[1]))) for _ in range(times)]
    chance.shuffle(waiting)
    chance.shuffle(clicks)
    observed: list[Word] = []
    while waiting or clicks or observed:
        for _ in range(min(chance.randint(1, 5), len(waiting))):
            story.deliver(*waiting.pop())
        while observed:
            word = observed.pop()
            if tells:
                op = story.say(word)
                waiting += [(op, TOPICS[0])] * chance.choice((1, 2))
                chance.shuffle(waiting)
        due = clicks[-1:]
        del clicks[-1:]
        live(story, chance.randint(1, 12), due, observed)
        clicks = due + clicks
    for _ in range(100):
        if story.done():
            break
        live(story, 400, [], [])
    assert story.done(), "some words never end"
    _in_the_end(story, said)
    return story.ends


def _in_the_end(story: Story, said: list[Word]) -> None:
    newest: dict[tuple[str, int, str], int] = {}
    for word in said:
        kind = "unsubscribe" if word.kind in ("click", "spam") else word.kind
        for part in (EMAIL,) if "suppress" in kind else word.parts:
            key = kind, word.who, part
            newest[key] = max(newest.get(key, -1), word.time)
    if story.merged or story.forgetful:
        return
    for _, who, part in list(newest):
        yes = newest.get(("subscribe", who, part), -1)
        no = newest.get(("unsubscribe", who, part), -1)
        suppressed = newest.get(("suppress", who, part), -1)
        if suppressed >= newest.get(("unsuppress", who, part), -1):
            no = max(no, suppressed)
        mailed = story.klaviyo.person(who).mailed(part)
        if no >= yes:
            assert not mailed, f"{part} of {who} is subscribed"
        if max(no, suppressed) < 0 <= yes:
            assert mailed, f"{part} of {who} is not subscribed, though nobody ever said no"
