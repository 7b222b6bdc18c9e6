"""Marks live for one window at least, one and a half at most, and a batch sees its own."""

from hypothesis import given
from hypothesis import strategies as st

from streams.dedupe.marks import CLOCKS_MS, bucket_of, candidates, ends_soon, expired, first_seen, mark

WINDOW = 1_000
UID = bytes(16)


@given(st.integers(0, 10**6), st.integers(0, WINDOW))
def test_a_redelivery_inside_the_window_is_found(at: int, later: int) -> None:
    assert mark(bucket_of(at, WINDOW), UID) in candidates(bucket_of(at + later, WINDOW), UID)


@given(st.integers(0, 10**6), st.integers(WINDOW + WINDOW // 2 + 1, 10**6))
def test_a_redelivery_long_after_the_window_is_new(at: int, later: int) -> None:
    assert mark(bucket_of(at, WINDOW), UID) not in candidates(bucket_of(at + later, WINDOW), UID)


@given(st.integers(0, 10**6))
def test_what_is_dropped_counts_no_more_and_what_counts_is_not_dropped(clock: int) -> None:
    bucket = bucket_of(clock, WINDOW)
    begin, end = expired(bucket)

    assert all(not begin <= key < end for key in candidates(bucket, UID))
    assert bucket < 3 or begin <= mark(bucket - 3, UID) < end


def test_of_equal_events_in_one_batch_the_first_is_new() -> None:
    uids = [b"a" * 16, b"b" * 16, b"a" * 16]
    keys = [candidates(5, uid) for uid in uids]

    assert first_seen([None] * 9, uids, keys) == [True, True, False]
    assert first_seen([None, b"", None, *[None] * 6], uids, keys) == [False, True, False]


@given(st.integers(CLOCKS_MS, 10**12), st.integers(0, CLOCKS_MS))
def test_a_repetition_that_overtook_the_event_is_found(at: int, ahead: int) -> None:
    """The event was accepted first and kept last, its repetition by a gateway whose clock is ahead."""
    window = 2 * CLOCKS_MS
    keys = candidates(bucket_of(at, window), UID, ahead=ends_soon(at, window))

    assert mark(bucket_of(at + ahead, window), UID) in keys
    assert keys[-1] == mark(bucket_of(at, window), UID)
