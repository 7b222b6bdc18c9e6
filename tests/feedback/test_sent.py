"""Sent calls are remembered for 28 days and then forgotten, oldest first."""

from streams.feedback.sent import REMEMBERED_MS, forgettable, remember, sent_key


def test_a_sent_call_is_found_until_it_is_28_days_old() -> None:
    state: dict[bytes, bytes] = {}
    for op_id, at in (("old", 1_000), ("new", 2_000)):
        state |= dict(remember(op_id, at))
    ordered = sorted(item for item in state.items() if item[0].startswith(b"t"))

    for key in forgettable(ordered, 1_001 + REMEMBERED_MS):
        del state[key]

    assert sent_key("old") not in state
    assert sent_key("new") in state
    assert len(state) == 2
