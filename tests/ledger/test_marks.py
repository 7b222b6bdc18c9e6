"""Which letters were redriven or discarded, told by facts that stay few and small."""

from dataclasses import asdict

from hypothesis import given
from hypothesis import strategies as st

from streams.engine.control import Control
from streams.ledger.marks import BLOCK, Marks, Run

LETTERS = st.sets(st.tuples(st.integers(0, 3), st.integers(0, 5 * BLOCK)), max_size=30)


@given(redriven=LETTERS, discarded=LETTERS, other=LETTERS)
def test_each_letter_has_its_last_mark_and_no_other_has_one(
    redriven: set[tuple[int, int]], discarded: set[tuple[int, int]], other: set[tuple[int, int]]
) -> None:
    facts = Run("redrive", "r").add(redriven, 1_000) | Run("discard", "d", "test data").add(discarded, 2_000)
    marks = Marks.of(facts.values())
    for letter in redriven | discarded | other:
        mark = marks.find(letter)
        if letter in discarded:
            assert mark is not None
            assert (mark.status, mark.run, mark.why, mark.at) == ("discarded", "d", "test data", 2_000)
        elif letter in redriven:
            assert mark is not None
            assert (mark.status, mark.run) == ("redriven", "r")
        else:
            assert mark is None
        assert marks.redriven(letter) == (letter in redriven)


def test_a_run_that_goes_on_keeps_what_it_marked_before() -> None:
    run = Run("redrive", "r")
    first = run.add([(0, 1)], 1_000)
    assert list(run.add([(0, 2)], 2_000)) == list(first)
    marks = Marks.of(run.add([(0, 3)], 3_000).values())
    assert all(marks.find((0, offset)) for offset in (1, 2, 3))


def test_a_full_block_fits_one_small_fact() -> None:
    (fact,) = Run("redrive", "r").add([(0, offset) for offset in range(BLOCK)], 1).values()
    assert len(str(asdict(fact))) < 4_096


def test_facts_of_letters_that_retention_deleted_are_stale() -> None:
    facts = Run("redrive", "r").add([(0, 0), (0, BLOCK), (1, 0)], 1)
    stale = Marks.of(facts.values()).stale({0: BLOCK, 1: BLOCK - 1})
    assert stale == [("replay", "redrive/r/0-0")]


def test_facts_of_others_are_passed_by() -> None:
    facts = [Control("replay", "import/web/ab", detail="{}"), Control("pause", "acme/events", at=1)]
    assert Marks.of(facts).find((0, 0)) is None
