"""A dry run over the real rooms: gateway's reading, identify's union-find, the rules, Klaviyo's requests."""

from typing import Any

import orjson

from streams.gateway import messages
from streams.gateway.messages import Arrival
from streams.identify.people import View
from streams.identify.resolve import Policy, resolve, shown
from streams.klaviyo import requests
from streams.klaviyo.operation import Operation
from streams.ledger.reasons import Outcome
from streams.route.dry_run import Call, Fate, Line, Person, Steps, dry_run
from streams.segment.envelope import Envelope
from streams.segment.refusal import Refusal
from tests.route.sample import router

RULES = router(
    """
  - {when: type = "identify", do: profile}
  - {when: event = "Order Completed", do: event}
"""
)
ARRIVAL = Arrival("web", ("acme",), 1_767_225_600_000, "t", 32_768)


def read(text: bytes) -> tuple[Envelope, ...] | Fate:
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return Fate(Outcome.DEAD_LETTERED, f"invalid_json:{error}")
    found = messages.read(message, text, text, ARRIVAL)
    if isinstance(found, Refusal):
        return Fate(Outcome.DEAD_LETTERED, f"{found.reason}:{found.detail}")
    return tuple(envelope for _, envelope in found)


class Identity:
    """All people in memory; an anonymous id's messages wait for somebody."""

    def __init__(self) -> None:
        self._view = View(lambda key: None)
        self._held: dict[str, list[int]] = {}

    def __call__(self, envelope: Envelope, number: int) -> Person | Fate:
        seen = shown(envelope, Policy())
        person = resolve(envelope, seen, number, self._view, Policy())
        anonymous_id = seen.anonymous_id or ""
        if person is None:
            self._held.setdefault(anonymous_id, []).append(number)
            return Fate(Outcome.HELD, "anonymous")
        released = tuple((held, False) for held in self._held.pop(anonymous_id, []))
        return Person(person.profile(), released)


def request(operation: Operation) -> Call:
    payload, who = orjson.loads(operation["payload"]), requests.identifiers(operation["profile"])
    if operation["kind"] == "event":
        row = requests.event_row(who, payload, operation["op_id"], operation["time"], operation["backfill"])
        made = requests.single_event(row)
    else:
        made = requests.profile_import(who, payload["attributes"])
    return Call(made.method, made.path, {}, orjson.loads(made.body))


def run(*lines: Any) -> list[Line]:
    texts = [line if isinstance(line, bytes) else orjson.dumps(line) for line in lines]
    return dry_run(texts, RULES, Steps(read, Identity(), request))


ORDER = {"type": "track", "event": "Order Completed", "messageId": "m1", "properties": {"total": 3}}
IDENTIFY = {"type": "identify", "messageId": "m2", "userId": "u1", "traits": {"email": "a@b.nl", "plan": "x"}}


def test_each_line_has_its_answer_in_the_order_of_the_file() -> None:
    answers = run(
        {**ORDER, "anonymousId": "a1"},
        b"{broken",
        {**IDENTIFY, "anonymousId": "a1"},
        {**IDENTIFY, "anonymousId": "a1"},
        {**ORDER, "event": "Other", "messageId": "m3", "userId": "u1"},
        {**ORDER, "messageId": "m4", "anonymousId": "a2"},
    )
    assert [(a.line, a.outcome) for a in answers] == [
        (1, "routed"),
        (2, "dead_lettered"),
        (3, "routed"),
        (4, "duplicate"),
        (5, "filtered"),
        (6, "held"),
    ]
    held = answers[0]
    assert held.matched_rules == ["rule 2"]
    assert held.profile is not None
    assert held.profile["email"] == "a@b.nl"
    (sent,) = held.requests
    assert (sent["account"], sent["lane"], sent["path"]) == ("acme", "events", "/api/events")
    assert sent["body"]["data"]["attributes"]["unique_id"] == sent["delivery_id"]


def test_a_run_gives_the_same_answers_again() -> None:
    lines = ({**ORDER, "userId": "u1"}, IDENTIFY)
    assert [a.dump() for a in run(*lines)] == [a.dump() for a in run(*lines)]


def test_an_answer_has_the_promised_fields() -> None:
    (answer,) = run({**IDENTIFY, "traits": {"email": "a@b.nl", "phone": "n/a"}})
    found = orjson.loads(answer.dump())
    assert list(found) == [
        "line",
        "event_id",
        "outcome",
        "reason",
        "matched_rules",
        "profile",
        "requests",
        "unmapped",
        "not_sent",
    ]
    assert list(found["profile"]) == ["id", "email", "phone", "external_id", "anonymous_ids"]
    assert found["unmapped"] == ["traits.phone"]


def test_empty_lines_are_no_messages() -> None:
    assert [a.line for a in run(b"", IDENTIFY, b"  ", ORDER)] == [2, 4]
