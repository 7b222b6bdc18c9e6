"""How much of Klaviyo's own windows is used, in virtual time: with headroom, with a killed owner."""

from collections import Counter

from streams.deliver.budget import Budget, Spent
from streams.klaviyo.budgets import EVENT_BULK, LIMITS, PROFILE_IMPORT, Limit
from tests.deliver.test_budget import most_in_a_window, run

REPLY_S = 0.3
MINUTE_S = 60.0


def in_windows(arrivals: list[float], first: int, last: int) -> list[int]:
    """Arrivals in each whole minute from one to another."""
    counts = Counter(int(at // MINUTE_S) for at in arrivals)
    return [counts[window] for window in range(first, last)]


def until_killed(budget: Budget, seconds: float) -> tuple[list[float], Spent, float]:
    """Arrivals of a backlog's calls, and what the state said last, written with each reservation."""
    now, written, spent = 0.0, 0.0, Spent()
    arrivals: list[float] = []
    replies: list[tuple[float, int]] = []
    while now < seconds:
        for reply in [reply for reply in replies if reply[0] <= now]:
            budget.replied(reply[1], now)
            replies.remove(reply)
        while (right := budget.reserve(now, 30.0)) is not None:
            spent, written = budget.spent(now), now
            arrivals.append(right[1])
            replies.append((right[1] + REPLY_S, right[0]))
        now += 0.01
    return [at for at in arrivals if at <= seconds], spent, written


def test_with_its_owner_killed_nearly_all_of_five_minutes_is_used_and_no_window_overrun() -> None:
    for name in (EVENT_BULK, PROFILE_IMPORT):
        limit = LIMITS[name]
        for killed, away in ((150.0, 2.0), (171.3, 4.0)):
            arrivals, spent, written = until_killed(Budget(limit), killed)
            heir = Budget(limit)
            back = killed + away
            heir.restore(spent, back - written, back)
            arrivals += [at for at, _ in run(heir, limit, [REPLY_S], 420.0 - back, start=back)]
            assert sum(in_windows(arrivals, 1, 6)) >= 0.95 * 5 * limit.steady
            assert most_in_a_window(arrivals, MINUTE_S, 0.0) <= limit.steady
            assert most_in_a_window(arrivals, limit.burst_s, 0.0) <= limit.burst


def test_headroom_is_left_to_others_whatever_waits() -> None:
    limit = Limit(10, 150)
    arrivals = [at for at, _ in run(Budget(limit.less(0.2)), limit, [REPLY_S], 300.0)]
    assert all(0.98 * 120 <= count <= 120 for count in in_windows(arrivals, 1, 5))
    assert most_in_a_window(arrivals, limit.burst_s, 0.0) <= 8
