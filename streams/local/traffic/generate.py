"""Realistic Segment traffic, the same for the same seed: visits of people, mixed message types, dirt."""

import heapq
from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from random import Random
from typing import Any

import orjson

from streams.local.traffic import catalog, dirt, people
from streams.local.traffic.message import Message
from streams.local.traffic.people import Person

STEP_MS = 5.0
"""Mean time between two messages: 200 a second, a shop's steady load."""
_ZIPF = 1.05
_OPEN_VISITS = 40
_KINDS = ("page", "ecommerce", "other", "identify", "screen", "group", "alias")
_ANONYMOUS = (57.0, 38.0, 3.0, 0.0, 2.0, 0.0, 0.0)
_KNOWN = (27.0, 38.0, 3.0, 26.7, 2.0, 2.3, 1.0)
"""Three visits in ten are known: together 48, 38, 3, 8, 2, 0.7 and 0.3 %."""
_PAGES = ("/", "/cart", "/products/{0}", "/category/{0}", "/search")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Visit:
    """One person's visit; `person` may be at someone else's device."""

    __slots__ = ("anonymous_id", "labels", "left", "login_in", "person")

    def __init__(self, dice: Random, person: Person, anonymous_id: str, labels: tuple[str, ...]) -> None:
        self.person = person
        self.anonymous_id = anonymous_id
        self.labels = labels
        self.left = 1 + int(dice.expovariate(1 / 8))
        self.login_in = int(dice.random() * self.left) if person.habit == "becomes_known" else -1


class _Shop:
    def __init__(self, seed: int, n_people: int) -> None:
        self.dice = Random(seed)
        self._seed = seed
        self._ranks = list(accumulate(1 / (rank + 1) ** _ZIPF for rank in range(n_people)))
        self._people: dict[int, Person] = {}
        self._visits = [self._visit() for _ in range(_OPEN_VISITS)]
        self._made = 0

    def _person(self) -> Person:
        index = bisect_left(self._ranks, self.dice.random() * self._ranks[-1])
        if index not in self._people:
            self._people[index] = people.make(self._seed, index)
        return self._people[index]

    def _visit(self) -> _Visit:
        dice, person = self.dice, self._person()
        device = dice.choice(person.anonymous_ids)
        labels = person.labels
        if person.known and dice.random() < 0.005:
            owner = self._person()
            if owner is not person:
                device, labels = owner.anonymous_ids[0], (*labels, "shared_device")
        return _Visit(dice, person, device, labels)

    def next(self, now: int) -> tuple[dict[str, Any], list[str], Person]:
        """Return the next message of some open visit, clean but for its person."""
        place = int(self.dice.random() * _OPEN_VISITS)
        visit = self._visits[place]
        if visit.left <= 0:
            visit = self._visits[place] = self._visit()
        visit.left -= 1
        kind = self._kind(visit)
        person = visit.person
        message, labels = self._message(kind, visit), list(visit.labels)
        self._made += 1
        message["messageId"] = f"m{self._seed}-{self._made:07d}-{self.dice.getrandbits(24):06x}"
        message["timestamp"] = iso(now)
        return message, labels, person

    def _kind(self, visit: _Visit) -> str:
        if visit.login_in == 0 and not visit.person.known:
            visit.person.known = True
            return "identify"
        visit.login_in -= 1
        weights = _KNOWN if visit.person.known else _ANONYMOUS
        return self.dice.choices(_KINDS, weights)[0]

    def _message(self, kind: str, visit: _Visit) -> dict[str, Any]:
        person, dice = visit.person, self.dice
        message: dict[str, Any] = {"type": "track" if kind in ("ecommerce", "other") else kind}
        message["anonymousId"] = visit.anonymous_id
        if person.known:
            message["userId"] = person.user_id
        message["context"] = _context(person)
        if kind == "ecommerce":
            message["event"], message["properties"] = catalog.event(dice)
        elif kind == "other":
            message["event"], message["properties"] = _other(dice)
        elif kind == "identify":
            message["traits"] = _traits(person, dice)
        elif kind == "page":
            message["name"] = dice.choice((None, None, "Home"))
            message["properties"] = _page(dice)
        elif kind == "screen":
            message["name"], message["properties"] = "Cart", {"variation": "blue"}
        elif kind == "group":
            message["groupId"] = f"g{person.index % 50}"
            message["traits"] = {"name": "Initech", "industry": "Technology", "employees": 329}
        else:
            message = {"type": "alias", "previousId": visit.anonymous_id, "userId": person.user_id}
        return message


def iso(ms: int) -> str:
    """Write a time as Segment does: three fractional digits, Z."""
    return (_EPOCH + timedelta(milliseconds=ms)).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def _context(person: Person) -> dict[str, Any]:
    context: dict[str, Any] = {
        "library": {"name": "analytics.js", "version": "next-1.70.0"},
        "ip": f"203.0.113.{person.index % 250}", "locale": "en-US", "timezone": "Europe/Amsterdam",
        "userAgent": "Mozilla/5.0",
    }  # fmt: skip
    if person.known and person.identified and person.email and person.index % 3 == 0:
        context["traits"] = {"email": person.email}
    return context


def _traits(person: Person, dice: Random) -> dict[str, Any]:
    person.identified += 1
    if person.new_email and person.identified == 3:
        person.email = person.new_email
        person.traits = person.traits | {"email": person.new_email}
    if dice.random() < 0.5:  # the other half repeats what was said before
        person.traits = person.traits | {"logins": person.traits["logins"] + 1}
    return dict(person.traits)


def _page(dice: Random) -> dict[str, Any]:
    path = dice.choice(_PAGES).format(int(dice.random() * 500))
    url = f"https://shop.example.com{path}"
    return {"path": path, "url": url, "title": "Shop", "referrer": "", "search": ""}


def _other(dice: Random) -> tuple[str, dict[str, Any]]:
    drawn = dice.random()
    if drawn < 0.05:
        return "User Subscribed", {"list": "Newsletter"}
    if drawn < 0.10:
        return "User Unsubscribed", {"list": "Newsletter"}
    if drawn < 0.43:
        name = dice.choice(("Audience Entered", "Audience Exited"))
        return name, {"audience_key": "big_spenders", "big_spenders": name.endswith("Entered")}
    return dice.choice(("Quiz Finished", "Store Located", "Video Played")), {"number": int(dice.random() * 9)}


def generate(seed: int, people: int, events: int, start_ms: int) -> Iterator[Message]:
    """Make `events` messages of `people` people.

    Redeliveries and second copies of orders come at a later position and count as messages, too.

    Args:
        seed: the same seed makes the same messages.
        people: how many there are; a few of them make most of the traffic.
        events: how many messages.
        start_ms: when the first happens, milliseconds since the epoch.
    """
    shop, later = _Shop(seed, people), list[tuple[int, int, Message]]()
    dice, now = Random(f"{seed}/dirt"), float(start_ms)
    for position in range(events):
        if later and later[0][0] <= position:
            yield heapq.heappop(later)[2]
            continue
        now += dice.expovariate(1 / STEP_MS)
        message = _spoiled(dice, *shop.next(int(now)), at=int(now))
        for label, most in _repeats(dice, message):
            room = max(1, min(most, events - position - 1))
            place = position + 1 + int(dice.random() * room)
            heapq.heappush(later, (place, position, _again(dice, message, label)))
        yield message


def _repeats(dice: Random, message: Message) -> Iterator[tuple[str, int]]:
    repeat = dirt.repeat(dice)
    if repeat is not None and message.is_json:
        yield repeat
    if b'"Order Completed"' in message.body and message.refused is None and dice.random() < 0.03:
        yield "same_order", 200


def _again(dice: Random, message: Message, label: str) -> Message:
    """Return the same message once more, or a server's copy of an order under a messageId of its own."""
    body, message_id = message.body, message.message_id
    if label == "same_order":
        copy = orjson.loads(body)
        message_id = copy["messageId"] = f"server-{dice.getrandbits(64):016x}"
        copy["context"] = {"library": {"name": "analytics-python", "version": "2.4.0"}}
        body = orjson.dumps(copy)
    labels = (*message.labels, label)
    return Message(body, message.type, message_id, message.person, message.at, labels, message.refused)


def _spoiled(dice: Random, message: dict[str, Any], labels: list[str], person: Person, *, at: int) -> Message:
    """Inject this message's dirt and write it."""
    _spoil_time(dice, message, labels, at)
    properties = message.get("properties")
    if message["type"] == "track" and properties:
        spoiled = [dirt.amounts(dice, properties)]
        if message["event"] == "Order Completed":
            spoiled.append(dirt.order(dice, properties))
        labels += (label for label in spoiled if label)
    ban = dirt.integrations(dice)
    if ban is not None:
        message["integrations"] = ban
        labels.append("integrations")
    refused = "invalid_message" if _is_too_long(message) else None
    for found in (dirt.extreme(dice, message, len(orjson.dumps(message))), dirt.junk(dice, message)):
        if found is not None:
            labels.append(found[0])
            refused = found[1] if found[1] == "invalid_json" else refused or found[1]
    body = orjson.dumps(message)
    if "broken_json" in labels:
        body = body[:-2]
    return Message(
        body, message["type"], message.get("messageId"), person.index, at, tuple(labels), refused
    )  # fmt: skip


def _is_too_long(message: dict[str, Any]) -> bool:
    user_id = message.get("userId")
    return isinstance(user_id, str) and len(user_id) > 255


def _spoil_time(dice: Random, message: dict[str, Any], labels: list[str], at: int) -> None:
    shifted = dirt.shift(dice)
    if shifted is not None:
        message["timestamp"] = iso(at + shifted[0])
        labels.append(shifted[1])
    digits = dirt.fraction(dice, message["timestamp"])
    if digits is not None:
        message["timestamp"], label = digits
        labels.append(label)
