"""What outlives the processes of a history of consent: topics, state, Klaviyo, and what must count."""

from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple, cast

import orjson

from streams.deliver import notices
from streams.deliver.row import Row
from streams.klaviyo.observations import stranger
from tests.deliver.consent_klaviyo import EMAIL, Klaviyo, email, phone

START = 1_800_000_000_000
TOPICS = ("klaviyo.consent", "klaviyo.consent.backfill")


class Record(NamedTuple):
    offset: int
    key: None
    value: bytes
    timestamp: int = 0


@dataclass(slots=True)
class Word:
    """Something a person said: of ``parts``, at a time (ms)."""

    kind: str
    who: int
    parts: tuple[str, ...]
    time: int


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
