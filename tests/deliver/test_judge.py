"""What each answer makes of the rows of a call, without a network."""

from typing import Any

import pytest

from streams.deliver.judge import Standing, chain, judge
from streams.deliver.row import Group, Row
from streams.klaviyo.replies import (
    CONFLICT,
    Accepted,
    Blame,
    Conflict,
    Rejected,
    RejectedWhole,
    Reply,
    Stopped,
    Throttled,
    Transient,
    Verdict,
)
from streams.klaviyo.requests import Request
from tests.deliver.line import operation

BULK = Request("POST", "/b", b"", "event/bulk", bulk=True)
SINGLE = Request("POST", "/s", b"", "event/single")


def rows(*people: int) -> list[Row]:
    return [Row("klaviyo.events", n, n, operation(n, who), b"") for n, who in enumerate(people)]  # type: ignore[arg-type]


def group(*people: int, **over: Any) -> Group:
    return Group("g", rows(*people), bulk=len(people) > 1, **over)


def judged(given: Group, verdict: Verdict, lane: Standing | None = None) -> Any:
    return judge(given, BULK if given.bulk else SINGLE, Reply(verdict, 400, "said"), lane or Standing())


def numbers(given: Any) -> list[list[int]]:
    return [[row.offset for row in chain(again.group)] for again in given.again]


VERDICTS = [
    Transient("x"),
    Throttled(1.0),
    RejectedWhole("x"),
    Stopped("x"),
    Conflict(None, "x"),
    Rejected((Blame((1,), "email", "bad"),)),
    Accepted(),
]


@pytest.mark.parametrize("verdict", VERDICTS, ids=repr)
@pytest.mark.parametrize("people", [(1,), (1, 1, 1), (1, 2, 3, 3)])
def test_no_row_is_lost(verdict: Verdict, people: tuple[int, ...]) -> None:
    if isinstance(verdict, Rejected) and len(people) == 1:
        verdict = Rejected((Blame((0,), "email", "bad"),))
    tail = Group("t", rows(*[9] * 20)[-2:], bulk=False) if len(set(people)) == 1 else None
    given = group(*people, after=tail)
    found = judged(given, verdict)
    everywhere = [row.offset for row in found.dissolved]
    everywhere += [end.row.offset for end in found.settled] + [n for part in numbers(found) for n in part]
    assert sorted(everywhere) == sorted([*range(len(people)), *([18, 19] if tail else [])])


def test_halves_keep_a_profile_together() -> None:
    assert numbers(judged(group(1, 1, 1, 2), RejectedWhole("x"))) == [[0, 1, 2], [3]]


def test_one_profile_is_halved_in_order() -> None:
    (again,) = judged(group(1, 1, 1, 1), RejectedWhole("x")).again
    assert [row.offset for row in again.group.rows] == [0, 1]
    assert [row.offset for row in again.group.after.rows] == [2, 3]


def test_an_id_that_bulk_refuses_goes_alone_before_what_follows_it() -> None:
    found = judged(group(1, 1, 1, 2, 2), Rejected((Blame((1,), "unique_id", "known"),)))
    assert not found.settled
    assert sorted(numbers(found)) == [[0, 3, 4], [1, 2]] or sorted(numbers(found)) == [[0, 1, 2], [3, 4]]
    alone = next(again.group for again in found.again if not again.group.bulk and len(again.group.rows) == 1)
    assert alone.after is not None


def test_what_is_said_of_a_profile_and_not_of_its_address_is_looked_for_in_its_rows() -> None:
    given = group(1, 2, 2, 2, 3)
    result = judged(given, Rejected((Blame((1, 2, 3), "data", "bad"),)))
    assert result.settled == []
    assert numbers(result) == [[1, 2, 3], [0, 4]]
    assert len(result.again[0].group.rows) == 1
    dead = judged(given, Rejected((Blame((1, 2, 3), "email", "bad"),))).settled
    assert [end.row.offset for end in dead] == [1, 2, 3]


def test_a_failing_bulk_call_is_halved_the_second_time_unless_all_fail() -> None:
    for lane, parts in ((Standing(), [1, 2]), (Standing(share=0.1), [1, 1])):
        given = group(1, 2, 3, 4)
        assert [len(judged(given, Transient("x"), lane).again) for _ in parts] == parts


def test_a_row_of_two_profiles_goes_alone() -> None:
    found = judged(group(1, 2, 3), Rejected((Blame((1,), CONFLICT, "both"),)))
    assert not found.settled
    assert numbers(found) == [[1], [0, 2]]


def test_a_call_of_which_rows_are_blamed_again_and_again_is_halved() -> None:
    found = judged(group(1, 2, 3, 4, 5, rounds=3), Rejected((Blame((0,), "email", "bad"),)))
    assert numbers(found) == [[1, 2], [3, 4]]


def test_rows_that_ask_the_same_are_refused_together() -> None:
    asked = Request("POST", "/l", b"", "list/write", asks=True, whole=True)
    given = group(1, 2, 3)
    for verdict in (RejectedWhole("no"), Conflict(None, "no"), Rejected((Blame((0,), "name", "no"),))):
        found = judge(given, asked, Reply(verdict, 400, ""), Standing())
        assert [end.row.offset for end in found.settled] == [0, 1, 2]
        assert not found.again


def test_what_is_throttled_goes_again_no_sooner_than_it_may() -> None:
    (again,) = judged(group(1), Throttled(7.0)).again
    assert (again.wait_s, again.exact) == (7.0, True)


def strikes(lane: Standing, tries: int = 30) -> int | None:
    """After how many failures a single row is a dead letter."""
    given = group(1)
    for count in range(1, tries):
        if judged(given, Transient("x"), lane).settled:
            return count
        lane = lane.after(False)
    return None


def test_in_an_outage_no_row_is_to_blame() -> None:
    assert strikes(Standing(tries=3, successes=50)) is None


def test_a_row_that_fails_while_others_do_well_is_a_dead_letter() -> None:
    given, lane = group(1), Standing(tries=3)
    ends = []
    for _ in range(5):
        ends.append(bool(judged(given, Transient("x"), lane).settled))
        lane = lane.after(False).after(True).after(True)
    assert ends == [False, False, False, True, True]


def test_a_row_among_many_that_fail_is_not_to_blame() -> None:
    given, lane = group(1), Standing(tries=3)
    for _ in range(50):
        assert not judged(given, Transient("x"), lane).settled
        lane = lane.after(False).after(True).after(False)


def test_a_call_for_the_account_counts_no_attempt() -> None:
    given = group(1)
    judged(given, Stopped("x"))
    judged(given, Throttled(2.0))
    assert given.rows[0].attempts == 0
    judged(given, Transient("x"))
    assert given.rows[0].attempts == 1
