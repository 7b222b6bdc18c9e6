"""Whom a row addresses after a merge, and after a crash in the midst of one."""

from typing import Any, cast

import orjson

from streams.deliver import intent, notices
from streams.deliver.events import Events
from streams.deliver.intent import Doubts
from streams.deliver.row import Row
from streams.deliver.sending.planner import Planner
from tests.deliver.fake_slot import LogRecord, codec
from tests.deliver.line import operation
from tests.deliver.test_flow import TOPIC, intake


def profile(name: str) -> Any:
    return {"id": name, "email": None, "phone": None, "user_id": None, "anonymous_ids": []}


def state(*merges: tuple[str, str, int]) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for winner, loser, at in merges:
        found |= notices.merged(winner, loser, profile(winner), at, found.get)
    return found


def name(who: str, read: Any, by_ms: int | None = None) -> str | None:
    found = notices.winner(who, read, by_ms)
    return None if found is None else found["id"]


def test_the_winner_of_a_time_is_whom_a_call_of_that_time_went_to() -> None:
    read = state(("b", "a", 100), ("c", "b", 200)).get
    assert [name("a", read, at) for at in (99, 100, 199, 200, None)] == [None, "b", "b", "c", "c"]
    assert name("c", read) is None


def test_whoever_was_merged_into_those_that_were_merged_is_absorbed_too() -> None:
    read = state(("b", "a", 100), ("b", "d", 150), ("c", "b", 200)).get
    assert sorted(notices.absorbed("c", read)) == ["a", "b", "d"]
    assert notices.absorbed("a", read) == []


def test_a_call_in_doubt_is_remembered_with_the_time_at_which_it_left() -> None:
    row = cast("Any", Row("t", 4, 4, cast("Any", {}), b""))
    doubts = Doubts.restored([(b"i/x/1", intent.form([row], 1_000, 10.0))], 0.0, 2_000)
    assert doubts.left_at("t", 4) == 1_000
    assert doubts.left_at("t", 5) == 0
    assert orjson.loads(intent.form([row], 1_000, 10.0))["at"] == 1_000


def waiting(*people: str) -> tuple[Planner, Any]:
    """A lane in which rows wait for these, ``a`` being merged into ``b``; and its state."""
    found = intake()
    encode = codec("operation").encode
    for n, who in enumerate(people):
        op = operation(n)
        op["profile"] |= {"id": who}
        found.take(TOPIC, [LogRecord(n, None, encode(op))])
    return Planner(found.desk, Events(), found.lane, iter("ghijklmno").__next__), state(("b", "a", 100)).get


def called(planner: Planner, read: Any) -> list[list[str]]:
    """Of each call that leaves now whose rows it has."""
    return [
        [row.person for row in call.group.rows] for call in planner.plan(planner.desk.clock(), 0, read).calls
    ]


def test_who_was_merged_has_no_second_call_beside_the_winners_after_a_stop() -> None:
    planner, read = waiting("a")
    (call,) = planner.plan(planner.desk.clock(), 0, read).calls
    assert planner.lane.busy("b")
    planner.lane.again(call.group, planner.desk.clock() + 30)
    planner.dissolve()
    assert not planner.lane.busy("b")
    op = operation(5)
    op["profile"] |= {"id": "b"}
    planner.lane.add(Row(TOPIC, 5, 5, cast("Any", op), b"", ready=call.group.rows[0].ready))
    people = [who for one in called(planner, read) for who in one]
    assert people == ["b"]


def test_the_winner_goes_on_when_nothing_is_left_of_who_was_merged() -> None:
    planner, read = waiting("a")
    (call,) = planner.plan(planner.desk.clock(), 0, read).calls
    planner.lane.again(call.group, planner.desk.clock() + 30)
    planner.dissolve()
    op = operation(6, kind="erase")
    op["profile"] |= {"id": "a"}
    op["origin"] |= {"accepted_at": op["time"] + 60_000}
    erased = notices.tombstones(cast("Any", op))
    plan = planner.plan(planner.desk.clock(), 0, lambda key: erased.get(key) or read(key))
    assert [end.reason for end in plan.ended] == ["erased"]
    assert not planner.lane.busy("b")


def test_a_row_of_two_dead_owners_leaves_no_intent_behind() -> None:
    one, two = (cast("Any", Row("t", at, at, cast("Any", {}), b"")) for at in (4, 5))
    intents = [(b"i/x/a", intent.form([one], 2_000, 10.0)), (b"i/x/b", intent.form([one, two], 1_000, 5.0))]
    doubts = Doubts.restored(intents, 0.0, 2_000)
    assert doubts.left_at("t", 4) == 1_000
    assert doubts.not_before("t", 4) == 11.0
    assert doubts.covered("t", 4) == [b"i/x/a"]
    assert doubts.covered("t", 5) == [b"i/x/b"]
