"""How much of a budget was used, by the simulator's own fixed windows."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from tests.soak.place import STEADY_S


class Use(NamedTuple):
    """Requests taken in whole windows after the first, as a share of what these allow."""

    share: float
    counts: list[int]

    def __str__(self) -> str:
        return " ".join(map(str, self.counts))


def use(requests: Iterable[dict[str, Any]], steady: int, until: float) -> Use:
    """Count by windows that begin after the first request's own and end before ``until``."""
    taken = Counter(int(request["at"] // STEADY_S) for request in requests if request["status"] != 429)
    if not taken:
        return Use(0.0, [])
    whole = range(min(taken) + 1, int(until // STEADY_S))
    counts = [taken[index] for index in whole]
    return Use(sum(counts) / (len(counts) * steady) if counts else 0.0, counts)
