"""Single or bulk, by backlog and by what the budgets allow when."""

from streams.deliver.sending.grouping import EVEN, FULL, Choice, choose
from streams.klaviyo.budgets import EVENT_BULK, EVENT_SINGLE, LIMITS

NOW = 1000.0


def test_many_is_what_costs_a_bulk_call_no_less_of_a_minute() -> None:
    assert EVEN == LIMITS[EVENT_SINGLE].steady // LIMITS[EVENT_BULK].steady


def test_few_rows_go_singly_at_once() -> None:
    assert choose(EVEN, NOW, single_at=NOW, bulk_at=NOW) == Choice("single")


def test_a_backlog_goes_in_bulk() -> None:
    assert choose(EVEN + 1, NOW, single_at=NOW, bulk_at=NOW) == Choice("bulk")


def test_more_than_a_few_go_singly_while_the_bulk_call_has_to_wait() -> None:
    assert choose(EVEN + 1, NOW, single_at=NOW, bulk_at=NOW + 0.4) == Choice("single")


def test_what_cannot_leave_soon_waits_for_whichever_call_is_first() -> None:
    """Rows are not bound to a call of later: the next bulk call takes all that wait then."""
    assert choose(1, NOW, single_at=NOW + 0.3, bulk_at=NOW + 0.2) == Choice(None, NOW + 0.2)
    assert choose(1, NOW, single_at=NOW + 0.3, bulk_at=NOW + 0.4) == Choice(None, NOW + 0.3)
    assert choose(EVEN + 1, NOW, single_at=NOW + 0.3, bulk_at=NOW + 0.4) == Choice(None, NOW + 0.3)


def test_few_rows_take_the_call_that_leaves_first() -> None:
    assert choose(1, NOW, single_at=NOW + 0.02, bulk_at=NOW) == Choice("bulk")
    assert choose(1, NOW, single_at=NOW + 0.02, bulk_at=NOW + 0.04) == Choice("single")


def test_a_bulk_call_that_will_be_full_is_planned_ahead() -> None:
    assert choose(FULL, NOW, single_at=NOW, bulk_at=NOW + 0.4) == Choice("bulk")
    assert choose(FULL, NOW, single_at=NOW, bulk_at=NOW + 2) == Choice(None, NOW + 2)


def test_without_a_bulk_call_rows_wait_for_the_single_one() -> None:
    assert choose(9, NOW, single_at=NOW + 0.4, bulk_at=None) == Choice("single")
    assert choose(9, NOW, single_at=NOW + 2, bulk_at=None) == Choice(None, NOW + 2)
    assert choose(0, NOW, single_at=NOW, bulk_at=NOW) == Choice(None)
