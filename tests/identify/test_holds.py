"""Anonymous events wait in order and are let go once."""

from streams.identify import holds
from streams.identify.people import Pointer


def test_what_is_held_comes_out_in_order_and_nothing_stays() -> None:
    state: dict[bytes, bytes] = {}
    pointer = Pointer()
    for at, record in ((100, b"first"), (101, b"second")):
        state |= dict(holds.hold("anon", pointer, at, record))

    found = [state.get(key) for key in holds.held_keys("anon", pointer)]
    released = list(holds.release("anon", pointer, found))
    for _, _, gone in released:
        for key in gone:
            del state[key]

    assert [(at, record) for at, record, _ in released] == [(100, b"first"), (101, b"second")]
    assert not state
    assert holds.held_keys("anon", pointer) == []


def test_expiry_keys_stand_in_order_of_time_and_say_what_they_are_for() -> None:
    keys = [holds.expiry_key(at, number, "anon-é") for number, at in enumerate((300, 100, 200))]

    parsed = [holds.parse_expiry(key) for key in sorted(keys)]
    assert parsed == [(100, 1, "anon-é"), (200, 2, "anon-é"), (300, 0, "anon-é")]


def test_what_expired_makes_room_up_to_the_first_that_is_still_held() -> None:
    """Numbers and times need not have one order: the second may expire before the first."""
    pointer = Pointer(held_from=3, held_to=7)

    holds.make_room(pointer, {3, 5}.__contains__)
    assert (pointer.held_from, pointer.held_to) == (3, 7)
    holds.make_room(pointer, {5}.__contains__)
    assert (pointer.held_from, pointer.held_to) == (5, 7)
    holds.make_room(pointer, set[int]().__contains__)
    assert (pointer.held_from, pointer.held_to) == (7, 7)
