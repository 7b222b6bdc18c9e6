"""What one lane is about to write and others must see: nothing newer is forgotten with it."""

from streams.deliver.occupancy import Ahead

STORE: dict[bytes, bytes | None] = {b"o/mark": b"first"}


def test_what_is_written_while_a_transaction_is_under_way_is_still_seen_after_it() -> None:
    """A once-mark is freed, and taken anew before that is committed: a third must find it taken."""
    ahead = Ahead()
    ahead.write({b"o/mark": None})
    ahead.write({b"o/mark": b"second"})
    ahead.committed({b"o/mark": None})
    assert ahead.read(b"o/mark", STORE.get) == b"second"
    ahead.committed({b"o/mark": b"second"})
    assert ahead.read(b"o/mark", STORE.get) == b"first"
