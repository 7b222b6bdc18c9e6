"""Over many histories: nobody is subscribed in the end whose newest word, by event time, is a no.

The family's own rules against a model of Klaviyo, without HTTP: words come late, twice, in any order, people
unsubscribe at Klaviyo themselves, calls get lost before or after they had effect, and the process dies.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.deliver.consent import Consent
from streams.deliver.consent_marks import consent_key
from streams.deliver.family import NotSent
from streams.deliver.judge import Standing, judge
from streams.deliver.lane import Lane
from streams.deliver.permission import moment
from streams.deliver.row import Group, Row
from streams.klaviyo import replies
from streams.klaviyo.replies import Accepted, Reply
from streams.klaviyo.requests import Request, iso
from streams.ledger.reasons import Outcome

POINTER = "/data/attributes/profiles/data/0/attributes/subscriptions/email/marketing/consented_at"
HISTORIES = int(os.environ.get("STREAMS_HISTORIES", "3000"))
START = 1_800_000_000_000
KINDS = ("subscribe", "unsubscribe", "suppress", "unsuppress", "click")
"""A click is a person who unsubscribes at Klaviyo, which may tell us (then an operation "observed" comes)."""


@dataclass
class Klaviyo:
    """One person's email consent as Klaviyo keeps it, times in whole seconds."""

    state: str = "NEVER_SUBSCRIBED"
    at: int = 0
    suppressed: dict[str, int] = field(default_factory=dict)

    @property
    def mailed(self) -> bool:
        return self.state == "SUBSCRIBED" and not self.suppressed

    def unsubscribe(self, now: int) -> None:
        self.state, self.at = "UNSUBSCRIBED", now
        self.suppressed["UNSUBSCRIBE"] = now

    def take(self, request: Request, now: int) -> Reply:
        if request.method == "GET":
            return Reply(Accepted(data=[{"id": "K", "attributes": self._shown()}]), 200, "")
        attributes = orjson.loads(request.body)["data"]["attributes"]
        if "subscription-bulk-create" in request.path:
            row = attributes["profiles"]["data"][0]["attributes"]["subscriptions"]["email"]["marketing"]
            given = moment(row.get("consented_at"))
            if given is not None and self.state == "UNSUBSCRIBED" and self.at * 1000 > given:
                error = {"errors": [{"code": "invalid", "detail": "no", "source": {"pointer": POINTER}}]}
                return replies.read(400, {}, orjson.dumps(error), request)
            self.state, self.at = "SUBSCRIBED", (now if given is None else given) // 1000
            self.suppressed.clear()
        elif "subscription-bulk-delete" in request.path:
            self.unsubscribe(now // 1000)
        elif "suppression-bulk-create" in request.path:
            self.suppressed.setdefault("USER_SUPPRESSED", now // 1000)
        else:
            self.suppressed.pop("USER_SUPPRESSED", None)
        return Reply(Accepted(), 202, "")

    def _shown(self) -> dict[str, Any]:
        when = iso(self.at * 1000) if self.at else None
        suppression = [{"reason": why, "timestamp": iso(at * 1000)} for why, at in self.suppressed.items()]
        told = {"consent": self.state, "consent_timestamp": when, "suppression": suppression}
        return {"email": "u@shop.io", "subscriptions": {"email": {"marketing": told}}}


@dataclass
class Story:
    """The lane of one person: ``log`` is the topic, ``done`` and ``store`` outlive the process."""

    chance: Random
    klaviyo: Klaviyo = field(default_factory=Klaviyo)
    log: list[dict[str, Any]] = field(default_factory=list)
    done: set[int] = field(default_factory=set)
    store: dict[bytes, bytes] = field(default_factory=dict)
    now: int = START
    ends: list[str] = field(default_factory=list)

    def put(self, kind: str, time: int) -> None:
        payload: dict[str, Any] = {"channels": {"email": ["marketing"]}}
        if kind == "observed":
            payload |= {"status": "unsubscribed", "at": iso(time // 1000 * 1000)}
        self.log.append({
            "kind": kind, "time": time, "payload": orjson.dumps(payload), "op_id": str(len(self.log)),
            "origin": {"accepted_at": self.now},
            "profile": {"id": "p", "email": "u@shop.io", "phone": None, "user_id": None, "anonymous_ids": []},
        })  # fmt: skip

    def live(self, calls: int) -> None:
        """One life of the process: so many calls, then it dies, at whatever moment."""
        family, lane = Consent(), Lane()
        for number, op in enumerate(self.log):
            if number not in self.done:
                row = Row("t", number, number, op, b"")  # type: ignore[arg-type]
                prepared = family.prepare(row.op, self.now)
                assert not isinstance(prepared, NotSent)
                row.ready = prepared.ready
                lane.add(row)
        waiting: list[Group] = []
        while calls and (waiting or lane.waiting(0)):
            calls -= 1
            if not waiting:
                found = family.sort(lane.take(1000, 1 << 40, 1000), self.store.get, self.now)
                lane.put_back(found.later)
                waiting = [Group(str(n), part, len(part) > 1) for n, part in enumerate(found.parts)]
            self._call(family, lane, waiting)

    def _call(self, family: Consent, lane: Lane, waiting: list[Group]) -> None:
        group = waiting.pop()
        group.at_ms = self.now
        request = family.request(group, self.store.get)
        self._pass()
        if request is None:
            settled = judge(group, Request("", "", b"", ""), Reply(Accepted(), 0, ""), Standing()).settled
            self._commit(lane, *family.accepted(group, None, settled))
            return
        fate = self.chance.random()
        reply = self.klaviyo.take(request, self.now) if fate < 0.85 else replies.no_answer("lost before")
        self._pass()
        if 0.7 < fate < 0.85:
            reply = replies.no_answer("lost after")
        if request.asks and isinstance(reply.verdict, Accepted):
            learned = family.learned(group, reply, self.now)
            over = {end.row for end in learned.ended}
            group.rows = [row for row in group.rows if row not in over]
            self._commit(lane, learned.ended, learned.changes)
            if group.rows:
                waiting.append(group)
            return
        judged = judge(group, request, reply, Standing())
        if isinstance(reply.verdict, Accepted):
            self._commit(lane, *family.accepted(group, reply, judged.settled))
        elif judged.settled:
            self._commit(lane, *family.rejected(judged.settled))
        waiting += [again.group for again in judged.again]

    def _pass(self) -> None:
        """Time."""
        self.now += self.chance.choice((3, 40, 700, 2500))

    def _commit(self, lane: Lane, ended: Sequence[Any], changes: Any) -> None:
        for name, value in changes.items():
            if value is None:
                self.store.pop(name, None)
            else:
                self.store[name] = value
        for end in ended:
            assert end.outcome != Outcome.DEAD_LETTERED
            self.done.add(end.row.offset)
            self.ends.append(end.outcome)
        lane.free({"p"})


WORDS = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(2, 900), st.integers(0, 3)), min_size=1, max_size=8
)
"""What was said: kind, when (s before the start), and how often it is delivered again (a replay)."""


@settings(max_examples=HISTORIES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(WORDS, st.integers(0, 1 << 30), st.booleans())
def test_nobody_is_subscribed_after_a_newer_no(
    words: list[tuple[str, int, int]], seed: int, tells: bool
) -> None:
    chance = Random(seed)
    story = Story(chance)
    newest: dict[str, int] = {}
    deliveries: list[tuple[str, int]] = []
    for kind, ago, again in words:
        at = START - ago * 1000 + chance.randrange(1000)
        if kind != "click":
            newest[kind] = max(newest.get(kind, -1), at)
        deliveries += [(kind, at)] * (1 + again)
    chance.shuffle(deliveries)
    while deliveries:
        for _ in range(min(chance.randint(1, 4), len(deliveries))):
            kind, at = deliveries.pop()
            if kind == "click":
                newest["unsubscribe"] = story.now
                story.klaviyo.unsubscribe(story.now // 1000)
                if tells:
                    deliveries.insert(0, ("observed", story.now))
            else:
                story.put(kind, at)
        story.live(chance.randint(0, 6))
    for _ in range(50):
        story.live(200)
    assert len(story.done) == len(story.log)
    no = newest.get("unsubscribe", -1)
    if newest.get("suppress", -1) >= newest.get("unsuppress", -1):
        no = max(no, newest.get("suppress", -1))
    if no >= newest.get("subscribe", -1):
        assert not story.klaviyo.mailed, (story.ends, story.store[consent_key("p")])
