"""One group asks for a list; whatever becomes of it, sometime another does."""

from streams.deliver.lists.lookups import KnownList, known_list, list_form, list_key
from streams.deliver.lists.naming import LEASE_MS, Naming, making, making_form

NOW = 1_800_000_000_000
STATE: dict[bytes, bytes] = {}


def test_the_rows_of_one_turn_ask_and_those_of_the_next_wait() -> None:
    naming = Naming()
    first = naming.begin()
    assert naming.asks("L", 0, STATE.get, NOW)
    assert naming.asks("L", 0, STATE.get, NOW)
    second = naming.begin()
    assert not naming.asks("L", 0, STATE.get, NOW + 10)
    assert naming.asks("M", 0, STATE.get, NOW + 10)
    assert naming.asking("L", first, NOW + 20)
    assert not naming.asking("L", second, NOW + 20)
    naming.over("L", second)
    assert not naming.asks("L", 0, STATE.get, NOW + 30)
    naming.over("L", first)
    assert naming.asks("L", 0, STATE.get, NOW + 30)


def test_rows_that_come_back_unanswered_ask_again_at_once() -> None:
    naming = Naming()
    first = naming.begin()
    naming.asks("L", 0, STATE.get, NOW)
    second = naming.begin()
    assert naming.asks("L", first, STATE.get, NOW + 10)
    assert naming.asking("L", second, NOW + 10)
    naming.begin()
    assert not naming.asks("L", first, STATE.get, NOW + 20)


def test_a_group_that_was_lost_is_waited_for_a_while_only() -> None:
    naming = Naming(patience_ms=1000)
    naming.begin()
    naming.asks("L", 0, STATE.get, NOW)
    naming.begin()
    assert not naming.asks("L", 0, STATE.get, NOW + LEASE_MS + 999)
    assert naming.asks("L", 0, STATE.get, NOW + LEASE_MS + 1000)


def test_the_longer_the_answer_takes_the_less_often_is_it_looked_for() -> None:
    naming = Naming()
    naming.begin()
    naming.asks("L", 0, STATE.get, NOW)
    waits = [naming.wait_s("L", NOW + after) for after in (0, 400, 4_000, 3_600_000)]
    assert waits == [0.1, 0.1, 1.0, 5.0]
    assert naming.wait_s("M", NOW) == 0.1


def test_nobody_asks_while_klaviyo_may_still_make_the_list() -> None:
    state = {list_key("L"): making_form(NOW)}
    assert making("L", state.get) == NOW
    assert known_list("L", state.get, NOW) is None
    naming = Naming(patience_ms=1000)
    naming.begin()
    assert not naming.asks("L", 0, state.get, NOW + 999)
    assert naming.asks("L", 0, state.get, NOW + 1000)
    state[list_key("L")] = list_form(KnownList("1", double_opt_in=False), NOW)
    assert making("L", state.get) is None
    assert known_list("L", state.get, NOW) == KnownList("1", double_opt_in=False)
