"""One person, one profile, whatever order the events come in."""

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import pytest

from streams.local.stack import Stack
from streams.local.traffic.message import Message
from tests.line import eventually
from tests.whole.conftest import shared
from tests.whole.messages import message
from tests.whole.running import Whole

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def line(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """One line for all: each test has people of its own."""
    with shared(stack, tmp_path_factory.mktemp("people")) as made:
        yield made


METRIC = "Viewed Product"
KINDS = ("anonymous", "user", "identify", "both", "alias")


def test_a_person_has_one_profile_and_all_events_whatever_order_they_come_in(line: Whole) -> None:
    """Anonymous, by user id, by both, by email, by alias: every order of these makes the same person."""
    orders = list(permutations(KINDS))
    for step in range(len(KINDS)):
        line.send([_said(order[step], person) for person, order in enumerate(orders)])
        line.idle()

    report = line.drained()

    assert report["held"] == report["dead_lettered"] == 0
    profiles = [row for row in line.profiles() if not str(row["email"]).startswith("held")]
    assert sorted(row["email"] for row in profiles) == sorted(f"p{n}@shop.io" for n in range(len(orders)))
    assert {row["external_id"] for row in profiles} == {f"user{n}" for n in range(len(orders))}
    of = {row["id"]: row["email"] for row in profiles}
    seen = sorted((of[e["profile_id"]], e["metric"]) for e in line.events() if e["metric"] != METRIC)
    metrics = ("Anonymous Seen", "Both Seen", "User Seen")
    assert seen == sorted((f"p{n}@shop.io", metric) for n in range(len(orders)) for metric in metrics)


def _said(kind: str, person: int) -> Message:
    if kind == "alias":
        return message("alias", person, previousId=f"device{person}", userId=f"user{person}")
    who = {
        "anonymous": {"anonymousId": f"device{person}"},
        "user": {"userId": f"user{person}"},
        "both": {"anonymousId": f"device{person}", "userId": f"user{person}"},
        "identify": {"anonymousId": f"device{person}", "userId": f"user{person}"},
    }[kind]
    if kind == "identify":
        return message("identify", person, traits={"email": f"p{person}@shop.io"}, **who)
    number = KINDS.index(kind) + person * len(KINDS)
    return message("track", number, event=f"{kind.title()} Seen", properties={}, **who)


def test_what_was_held_for_a_device_is_delivered_in_order_once_its_person_is_known(line: Whole) -> None:
    people, each = 20, 8
    before = line.idle()
    line.send(
        message(
            "track", 1_000 + n * people + p, event="Product Viewed", anonymousId=f"d{p}", properties={"n": n}
        )
        for n in range(each)
        for p in range(people)
    )
    eventually(lambda: line.look()["held"] - before["held"] == people * each)
    assert [event for event in line.events() if event["metric"] == METRIC] == []

    line.send(
        message(
            "identify", 1_000 + p, anonymousId=f"d{p}", userId=f"u{p}", traits={"email": f"held{p}@shop.io"}
        )
        for p in range(people)
    )
    report = line.drained()

    assert (report["held"], report["delivered"] - before["delivered"]) == (0, people * each + people)
    for person in range(people):
        mine = [event for event in line.events() if event["email"] == f"held{person}@shop.io"]
        assert [event["properties"]["n"] for event in mine] == list(range(each))
    line.order_was_kept()


def test_events_that_waited_bring_back_no_address_that_was_replaced_meanwhile(line: Whole) -> None:
    """The profiles lane does not wait for the events lane, and Klaviyo takes identifiers from both."""
    people = 30

    def said(kind: str, number: int, person: int, **fields: Any) -> Message:
        return message(kind, number, userId=f"moved{person}", **fields)

    line.send(said("identify", 2_000 + p, p, traits={"email": f"old{p}@shop.io"}) for p in range(people))
    line.idle()
    assert line.run("lanes", "pause", "acme/events", "--reason", "backlog").code == 0
    try:
        eventually(lambda: line.lanes()["acme/events"]["paused"])
        line.send(said("track", 3_000 + p, p, event="Moved Out", properties={}) for p in range(people))
        eventually(lambda: line.lag("acme/events") >= people)
        line.send(said("identify", 4_000 + p, p, traits={"email": f"new{p}@shop.io"}) for p in range(people))
        eventually(lambda: sum(str(row["email"]).startswith("new") for row in line.profiles()) == people)
    finally:
        assert line.run("lanes", "resume", "acme/events").code == 0
    line.drained()

    mine = [row for row in line.profiles() if str(row["external_id"]).startswith("moved")]
    assert {(row["external_id"], row["email"]) for row in mine} == {
        (f"moved{p}", f"new{p}@shop.io") for p in range(people)
    }
    assert len(mine) == people
    of = {row["id"] for row in mine}
    assert sum(event["profile_id"] in of for event in line.events()) == people


def test_two_people_who_give_one_number_stay_two(line: Whole) -> None:
    """Klaviyo has one profile a number: the second one's address would be written over the first one's."""
    who = ("ann", "bob")
    for number, name in enumerate(who):
        traits = {"email": f"{name}@shop.io", "phone": "+14155552671"}
        line.send([message("identify", 5_000 + number, userId=name, traits=traits)])
        line.send([message("track", 5_010 + number, userId=name, event="Number Given", properties={})])
        line.idle()
    line.drained()

    mine = {row["external_id"]: row for row in line.profiles() if row["external_id"] in who}
    assert {name: row["email"] for name, row in mine.items()} == {n: f"{n}@shop.io" for n in who}
    assert [mine[name]["phone_number"] for name in who] == ["+14155552671", None]
    of = [e["profile_id"] for e in line.events() if e["metric"] == "Number Given"]
    assert sorted(of) == sorted(row["id"] for row in mine.values())
