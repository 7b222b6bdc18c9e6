"""Single or bulk, by backlog and by what the budgets allow when."""

from streams.deliver.grouping import EVEN, FULL, Choice, choose

NOW = 1000.0


def test_few_rows_go_singly_at_once() -> None:
    assert choose(EVEN, NOW, single_at=NOW, bulk_at=NOW) == Choice("single")


def test_a_backlog_goes_in_bulk() -> None:
    assert choose(EVEN + 1, NOW, single_at=NOW, bulk_at=NOW) == Choice("bulk")


def test_more_than_a_few_go_singly_while_the_bulk_call_has_to_wait() -> None:
    assert choose(EVEN + 1, NOW, single_at=NOW, bulk_at=NOW + 0.4) == Choice("single")
    assert choose(EVEN + 1, NOW, single_at=NOW + 0.01, bulk_at=NOW + 0.4) == Choice("bulk")


def test_a_bulk_call_that_will_be_full_is_waited_for() -> None:
    assert choose(FULL, NOW, single_at=NOW, bulk_at=NOW + 0.4) == Choice("bulk")
    assert choose(FULL, NOW, single_at=NOW, bulk_at=NOW + 2) == Choice(None, NOW + 2)


def test_few_rows_take_whichever_call_may_leave_first() -> None:
    assert choose(1, NOW, single_at=NOW + 0.5, bulk_at=NOW + 0.2) == Choice("bulk")
    assert choose(1, NOW, single_at=NOW + 2, bulk_at=NOW + 3) == Choice(None, NOW + 2)


def test_without_a_bulk_call_rows_wait_for_the_single_one() -> None:
    assert choose(9, NOW, single_at=NOW + 2, bulk_at=None) == Choice(None, NOW + 2)
    assert choose(0, NOW, single_at=NOW, bulk_at=NOW) == Choice(None)
