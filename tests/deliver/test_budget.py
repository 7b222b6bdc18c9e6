"""No fixed window is overrun, whatever its phase and whatever the network does between sending and reply."""

from collections import Counter
from itertools import pairwise
from math import ceil, inf
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.deliver.budget import HORIZON_S, SLICE_S, Budget, Spent
from streams.klaviyo.budgets import LIMITS, LIST_CREATE, Limit
from streams.klaviyo.replies import Window

LIMIT = Limit(burst=3, steady=12, burst_s=1.0, steady_s=8.0)


def run(
    budget: Budget, limit: Limit, replies: list[float], seconds: float, start: float = 0.0
) -> list[tuple[float, float]]:
    """Send as much as allowed; (sent, replied) of each. ``replies`` are the calls' lengths, in turn."""
    now, calls, open_calls = start, [], []
    while now < start + seconds:
        for at, number, sent in sorted(open_calls):
            if at <= now:
                budget.replied(number, at)
                open_calls.remove((at, number, sent))
        while (right := budget.reserve(now, 10.0)) is not None:
            number, at = right
            length = replies[len(calls) % len(replies)]
            calls.append((at, at + length))
            open_calls.append((at + length, number, at))
        future = [at for at, _, _ in open_calls if at > now]
        now = min([*future, max(now + 0.01, min(budget.next(now), now + 1.0))])
    return calls


def most_in_a_window(arrivals: list[float], length: float, phase: float) -> int:
    return max(Counter(int((at - phase) // length) for at in arrivals).values(), default=0)


@settings(max_examples=60)
@given(
    replies=st.lists(st.floats(0.0, 3.0), min_size=1, max_size=20),
    jitter=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=20),
    phase=st.floats(0.0, 8.0),
)
def test_no_window_is_overrun(replies: list[float], jitter: list[float], phase: float) -> None:
    calls = run(Budget(LIMIT), LIMIT, replies, 40.0)
    arrivals = [sent + jitter[n % len(jitter)] * (end - sent) for n, (sent, end) in enumerate(calls)]
    assert most_in_a_window(arrivals, LIMIT.steady_s, phase) <= LIMIT.steady
    assert most_in_a_window(arrivals, LIMIT.burst_s, phase) <= LIMIT.burst


@settings(max_examples=40)
@given(
    replies=st.lists(st.floats(0.0, 2.0), min_size=1, max_size=10),
    killed=st.floats(0.0, 20.0),
    away=st.floats(0.0, 5.0),
    phase=st.floats(0.0, 8.0),
)
def test_a_new_owner_does_not_burst(replies: list[float], killed: float, away: float, phase: float) -> None:
    budget, now, calls, open_calls = Budget(LIMIT), 0.0, [], []
    spent, written = Spent(), 0.0
    while now < killed:
        for at, number in [c for c in open_calls if c[0] <= now]:
            budget.replied(number, at)
            open_calls.remove((at, number))
        right = budget.reserve(now, 2.0)
        if right is not None:
            # the state is written with each reservation, not with each reply
            spent, written = budget.spent(now), now
            length = replies[len(calls) % len(replies)]
            calls.append((right[1], right[1] + length))
            open_calls.append((right[1] + length, right[0]))
        now += 0.05
    calls = [c for c in calls if c[0] <= killed]
    heir = Budget(LIMIT)
    heir.restore(spent, killed + away - written, killed + away)
    calls += run(heir, LIMIT, replies, 20.0, start=killed + away)
    arrivals = [end for _, end in calls]
    assert most_in_a_window(arrivals, LIMIT.steady_s, phase) <= LIMIT.steady
    assert most_in_a_window(arrivals, LIMIT.burst_s, phase) <= LIMIT.burst


def test_a_backlog_uses_nearly_all_of_it() -> None:
    limit = Limit(10, 150)
    calls = run(Budget(limit), limit, [0.3], 600.0)
    assert len(calls) >= 0.99 * 150 * 10


def test_a_backlog_is_spaced_evenly() -> None:
    limit = Limit(10, 150)
    sent = [at for at, _ in run(Budget(limit), limit, [0.3], 300.0)]
    gaps = [b - a for a, b in pairwise(sent) if b > 0.0]
    assert max(gaps) < 1.0
    assert min(gaps) > 0.3


def test_what_others_use_counts_until_the_window_ends() -> None:
    budget = Budget(LIMIT)
    assert budget.next(0.0) == 0.0
    budget.obey(Window(limit=12, remaining=0, reset_s=5.0), 0.0)
    assert budget.next(0.0) == inf or budget.next(0.0) >= 5.0
    assert budget.next(5.0) == 5.0


def test_a_smaller_limit_than_published_is_obeyed() -> None:
    budget = Budget(Limit(100, 100, 1.0, 8.0, at_once=100))
    budget.obey(Window(limit=5, remaining=5, reset_s=100.0), 0.0)
    assert sum(budget.reserve(0.0, 1.0) is not None for _ in range(20)) == 5


def test_headroom_is_not_taken_for_use_by_others() -> None:
    budget = Budget(Limit(10, 100, 1.0, 60.0).less(0.5))
    budget.obey(Window(limit=100, remaining=70, reset_s=60.0), 0.0)
    assert sum(budget.reserve(0.1 * n, 1.0) is not None for n in range(1, 2)) == 1


def test_retry_after_holds_the_whole_budget() -> None:
    budget = Budget(LIMIT)
    budget.throttled(10.0, 7.0)
    assert budget.reserve(12.0, 1.0) is None
    assert budget.next(12.0) == 17.0


def test_a_right_given_before_a_429_is_not_used() -> None:
    budget = Budget(LIMIT)
    assert budget.reserve(0.0, 1.0) is not None
    assert not budget.withheld(0.1)
    budget.throttled(0.1, 5.0)
    assert budget.withheld(0.2)
    assert not budget.withheld(5.2)


def test_a_right_is_not_used_when_others_took_what_was_left() -> None:
    budget = Budget(Limit(10, 100, 1.0, 60.0, at_once=10))
    assert all(budget.reserve(0.0, 1.0) for _ in range(3))
    budget.obey(Window(limit=100, remaining=90, reset_s=30.0), 0.1)
    assert not budget.withheld(0.2)
    budget.obey(Window(limit=100, remaining=2, reset_s=30.0), 0.3)
    assert budget.withheld(0.4)
    assert not budget.withheld(31.0)


def test_a_right_is_planned_within_its_slice() -> None:
    budget = Budget(Limit(1, 10, 1.0, 10.0))
    rights = [budget.reserve(0.0, 1.0) for _ in range(5)]
    assert [right is not None for right in rights] == [True, False, False, False, False]
    assert HORIZON_S < SLICE_S


@pytest.mark.parametrize("elapsed", [-5.0, 0.0, 1000.0])
def test_any_wall_clock_is_survived(elapsed: float) -> None:
    budget = Budget(LIMIT)
    budget.restore(Spent(((0.5, 2.0),), ((0, 11),)), elapsed, 0.0)
    assert (budget.next(0.0) == 0.0) == (elapsed > 100)


def share_windows(
    limit: Limit, others: float, seconds: float, seed: int, lag: float = 0.15
) -> tuple[int, list[int]]:
    """A backlog beside a client with so many calls a second at random: own refusals, own use by window."""
    chance, budget, now, refused = Random(seed), Budget(limit), 3.3 * seed, 0
    used: Counter[float] = Counter()
    own: Counter[float] = Counter()
    planned: list[tuple[float, int]] = []
    replies: list[tuple[float, int, Window | None]] = []
    other = now + chance.expovariate(others) if others else inf
    end = now + seconds

    def take(at: float) -> int:
        window = at // limit.steady_s
        used[window] += used[window] < limit.steady
        return limit.steady - used[window]

    while now < end:
        while other <= now:
            take(other)
            other += chance.expovariate(others)
        for reply in [reply for reply in replies if reply[0] <= now]:
            replies.remove(reply)
            budget.replied(reply[1], now)
            if reply[2]:
                budget.obey(reply[2], now)
            else:
                budget.throttled(now, limit.steady_s - now % limit.steady_s)
        while (right := budget.reserve(now, 10.0)) is not None:
            planned.append((right[1], right[0]))
        for call in [call for call in planned if call[0] <= now]:
            planned.remove(call)
            if budget.withheld(now):
                budget.unsent(call[1])
                continue
            full = used[now // limit.steady_s] >= limit.steady
            refused += full
            own[now // limit.steady_s] += not full
            window = Window(limit.steady, take(now), ceil(limit.steady_s - now % limit.steady_s))
            replies.append((now + lag * chance.uniform(0.5, 1.5), call[1], None if full else window))
        now += 0.01
    return refused, [own[window] for window in sorted(own)[1:-1]]


def test_beside_another_client_nearly_nothing_is_refused() -> None:
    limit = Limit(10, 150)
    found = [share_windows(limit, 0.3 * 150 / 60, 400.0, seed) for seed in range(5)]
    assert sum(refused for refused, _ in found) <= 0.001 * sum(sum(own) for _, own in found)
    assert sum(sum(own) for _, own in found) >= 0.67 * 150 * sum(len(own) for _, own in found)


@pytest.mark.parametrize("lag", [0.001, 0.3, 2.0])
def test_alone_its_own_calls_are_not_taken_for_anothers(lag: float) -> None:
    limit = Limit(10, 150)
    found = [share_windows(limit, 0.0, 250.0, seed, lag) for seed in range(4)]
    assert sum(refused for refused, _ in found) == 0
    expected = 60.0 / (60.0 + lag) - 0.02
    assert sum(sum(own) for _, own in found) >= expected * 150 * sum(len(own) for _, own in found)


def test_what_a_stall_kept_back_is_made_up_for() -> None:
    limit = Limit(10, 150)
    budget, chance, now, stall = Budget(limit), Random(7), 0.0, 20.0
    planned: list[tuple[float, int, float]] = []
    replies: list[tuple[float, int]] = []
    arrived: list[float] = []
    while now < 480.0:
        if now >= stall:
            now += chance.uniform(0.2, 2.0)
            stall = now + chance.uniform(1.0, 40.0)
        for reply in [reply for reply in replies if reply[0] <= now]:
            replies.remove(reply)
            budget.replied(reply[1], now)
        for call in [call for call in planned if call[0] <= now]:
            planned.remove(call)
            if now > call[2] + SLICE_S:
                budget.unsent(call[1])
            else:
                arrived.append(now)
                replies.append((now + 0.2, call[1]))
        while (right := budget.reserve(now, 10.0)) is not None:
            planned.append((right[1], right[0], now))
        now += 0.01
    used = Counter(at // 60.0 for at in arrived)
    assert max(used.values()) <= 150
    assert max(Counter(at // 1.0 for at in arrived).values()) <= 10
    assert sum(used[window] for window in range(1, 8)) >= 0.99 * 150 * 7


def test_a_dead_owners_open_calls_hold_back_no_others() -> None:
    limit = Limit(10, 150)
    budget = Budget(limit)
    budget.restore(Spent(((0.5, 30.0), (0.1, 30.0)), tuple((age, 2) for age in range(60))), 10.0, 0.0)
    assert len(run(budget, limit, [0.3], 28.0)) >= 0.95 * 28 * 2.5


@pytest.mark.parametrize("headroom", [0.0, 0.5])
def test_a_days_lists_may_go_at_once_and_no_more_that_day(headroom: float) -> None:
    limit = LIMITS[LIST_CREATE].less(headroom)
    most = int(150 * (1 - headroom))
    sent = [at for at, _ in run(Budget(limit), limit, [0.3], 2000.0)]
    assert len(sent) == most
    assert sent[-1] < 60.0
    assert most_in_a_window(sent, 1.0, 0.0) <= 10 * (1 - headroom)
