"""A position is the first offset not done and the ranges beyond it."""

from hypothesis import given
from hypothesis import strategies as st

from streams.deliver.sending.position import Position


@given(st.permutations(range(20)), st.integers(0, 20), st.lists(st.integers(1, 4), min_size=20, max_size=20))
def test_what_is_done_is_never_taken_again(order: list[int], done: int, gaps: list[int]) -> None:
    offsets = [sum(gaps[: n + 1]) for n in range(20)]
    position = Position()
    starts = {offset: position.take(offset) for offset in offsets}
    for n in order[:done]:
        start = starts[offsets[n]]
        assert start is not None
        position.done(start, offsets[n] + 1)
    again = Position.restored(position.form())
    left = {offset for offset in offsets if offset >= again.next and again.take(offset) is not None}
    assert left == {offsets[n] for n in order[done:]}
    assert len(position.ranges) <= 10
    if done == 20:
        assert position.form() == {"next": offsets[-1] + 1, "done": []}


def test_gaps_in_the_log_are_done_with_the_record_behind_them() -> None:
    position = Position.restored(5)
    first, second = position.take(7), position.take(12)
    assert (first, second) == (5, 8)
    position.done(8, 13)
    assert position.form() == {"next": 5, "done": [[8, 13]]}
    position.done(5, 8)
    assert position.form() == {"next": 13, "done": []}


def test_a_gap_before_a_done_record_is_done() -> None:
    position = Position.restored({"next": 5, "done": [[9, 10]]})
    assert position.take(5) == 5
    assert position.take(9) is None
    assert position.form() == {"next": 5, "done": [[6, 10]]}
