"""Order per profile, one call in flight per profile, live before backfill, one copy of an op id at a time."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streams.deliver.row import Row
from streams.deliver.sending.lane import Lane
from tests.deliver.line import operation

WIDE = 1 << 40


def row(n: int, who: int, backfill: bool = False, **over: Any) -> Row:
    return Row("t", n, n, operation(n, who, **over), b"", size=10, backfill=backfill)  # type: ignore[arg-type]


def offsets(rows: list[Row]) -> list[int]:
    return [taken.offset for taken in rows]


@given(
    people=st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=40),
    moves=st.lists(st.tuples(st.integers(1, 6), st.integers(1, 3), st.booleans()), max_size=60),
)
def test_no_profile_is_in_two_calls_and_each_keeps_its_order(
    people: list[tuple[int, bool]], moves: list[tuple[int, int, bool]]
) -> None:
    lane, flying, seen = Lane(), [], []
    for n, (who, backfill) in enumerate(people):
        lane.add(row(n, who, backfill))
    for size, each, land in [*moves, *[(6, 3, True)] * 100]:
        taken = lane.take(size, WIDE, each)
        busy = {r.who for call in flying for r in call}
        assert not busy & {r.who for r in taken}
        seen += taken
        if taken:
            flying.append(taken)
        if land and flying:
            lane.free({r.who for r in flying.pop(0)})
    assert sorted(offsets(seen)) == list(range(len(people)))
    for key in {(r.who, r.backfill) for r in seen}:
        mine = [r.offset for r in seen if (r.who, r.backfill) == key]
        assert mine == sorted(mine)


def test_live_goes_first_and_backfill_fills_the_rest() -> None:
    lane = Lane()
    for n in range(3):
        lane.add(row(n, n, backfill=True))
    for n in range(3, 5):
        lane.add(row(n, n))
    assert offsets(lane.take(4, WIDE, 9)) == [3, 4, 0, 1]


def test_the_share_of_backfill_goes_first_when_it_is_due() -> None:
    lane = Lane()
    lane.add(row(0, 0))
    lane.add(row(1, 1, backfill=True))
    assert offsets(lane.take(1, WIDE, 1, backfill_first=True)) == [1]


def test_a_call_stays_within_its_bytes_and_takes_at_least_one_row() -> None:
    lane = Lane()
    for n in range(5):
        lane.add(row(n, n % 2))
    assert offsets(lane.take(9, 25, 9)) == [0, 2]
    assert offsets(lane.take(9, 1, 9)) == [1]


def test_what_is_put_back_goes_first_again() -> None:
    lane = Lane()
    for n in range(3):
        lane.add(row(n, 1))
    taken = lane.take(2, WIDE, 2)
    lane.put_back(taken)
    lane.free({"p1"})
    assert offsets(lane.take(9, WIDE, 9)) == [0, 1, 2]


def test_a_row_in_doubt_holds_its_profile_until_its_call_is_over() -> None:
    lane = Lane()
    lane.add(row(0, 1), not_before=5.0)
    lane.add(row(1, 1))
    lane.add(row(2, 2))
    assert lane.waiting(4.0) == 1
    assert offsets(lane.take(9, WIDE, 9)) == [2]
    assert lane.next_event() == 5.0
    assert lane.waiting(5.0) == 2
    assert offsets(lane.take(9, WIDE, 9)) == [0, 1]


def test_a_second_copy_waits_for_the_first_ones_end() -> None:
    lane = Lane()
    first, second = row(0, 1), row(1, 2, op_id=operation(0)["op_id"])
    lane.add(first)
    lane.add(second)
    assert offsets(lane.take(9, WIDE, 9)) == [0]
    assert lane.finished([first], sent=True) == [second]


def test_a_second_copy_takes_the_place_of_a_dead_letter() -> None:
    lane = Lane()
    first, second = row(0, 1), row(1, 2, op_id=operation(0)["op_id"])
    lane.add(first)
    lane.add(second)
    lane.take(9, WIDE, 9)
    assert lane.finished([first], sent=False) == []
    assert offsets(lane.take(9, WIDE, 9)) == [1]
    lane.finished([second], sent=True)
    assert lane.fullness(backfill=False) == 0.0
