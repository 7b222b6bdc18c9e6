"""Whom a row addresses after a merge, and after a crash in the midst of one."""

from typing import Any, cast

import orjson

from streams.deliver import intent, notices
from streams.deliver.intent import Doubts
from streams.deliver.row import Row


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
