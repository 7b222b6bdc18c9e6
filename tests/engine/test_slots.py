import pytest

from streams.engine.control import Control
from streams.engine.errors import Misconfigured
from streams.engine.slots import Slots


def test_numbers_come_from_control_spaces_and_accounts_apart() -> None:
    facts = [Control("space", "a", 0), Control("account", "b", 4), Control("pause", "b/events", reason="x")]
    slots = Slots.of(facts)
    assert (slots.space("a"), slots.account("b"), slots.count) == (0, 4, 5)


def test_a_name_without_a_number_says_what_to_run() -> None:
    for ask in (Slots().space, Slots().account):
        with pytest.raises(Misconfigured, match="streams topics apply"):
            ask("new")
    assert Slots().count == 0


def test_new_names_get_the_next_numbers_and_old_ones_keep_theirs_though_they_left_the_file() -> None:
    slots = Slots({"gone": 0, "a": 1}).with_new(["b", "a", "c"], ["x"])
    assert slots.spaces == {"gone": 0, "a": 1, "b": 2, "c": 3}
    assert slots.accounts == {"x": 0}
