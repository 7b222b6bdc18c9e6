"""Dead letters are told by what is still to do with them."""

from collections import Counter
from typing import Any

from streams.ledger.by_reason import ByReason
from streams.ledger.marks import Marks, Run
from streams.ledger.report import Report
from streams.ledger.summary import summary
from streams.ledger.tally import Tally
from tests.ledger.said import refuses


def letters(*reasons: str) -> ByReason:
    found = ByReason()
    for offset, reason in enumerate(reasons):
        found.add((0, offset), refuses("route", offset) | {"reason": reason}, Marks())
    return found


def done(redriven: set[int], discarded: set[int]) -> Marks:
    facts = Run("redrive", "r").add([(0, each) for each in redriven], 1)
    return Marks.of((facts | Run("discard", "d", "test data").add([(0, o) for o in discarded], 2)).values())


def test_open_redriven_and_discarded_ones_are_counted_apart_and_most_open_come_first() -> None:
    found = letters("rejected", "rejected", "rejected", "mapping: x", "rejected", "mapping: y")
    rows = found.document(done(redriven={0, 1}, discarded={2}))
    told = [[row[name] for name in ("reason", "count", "open", "redriven", "discarded")] for row in rows]
    assert told == [["mapping", 2, 2, 0, 0], ["rejected", 4, 1, 2, 1]]


def test_what_is_done_between_two_looks_counts_at_the_second() -> None:
    found = letters("rejected")
    assert found.document(Marks())[0]["open"] == 1
    (row,) = found.document(done(redriven={0}, discarded=set()))
    assert (row["open"], row["redriven"], row["sample"]["status"]) == (0, 1, "redriven")


def test_the_sample_is_an_open_one_if_there_is_one() -> None:
    marks, found = done(redriven={0}, discarded=set()), ByReason()
    for offset in range(3):
        found.add((0, offset), refuses("route", offset), marks)
    assert found.document(marks)[0]["sample"]["id"] == "0-1"


def test_the_summary_names_what_is_not_nothing() -> None:
    def told(marks: Marks) -> str:
        tally = Tally(states={"events": Counter(), "engagement": Counter()})
        return summary(Report(tally, dead_letters=rows(marks)).document())

    def rows(marks: Marks) -> list[dict[str, Any]]:
        return letters("rejected", "rejected").document(marks)

    assert "dead letters, rejected: 2 open" in told(Marks())
    assert "dead letters, rejected: 1 open, 1 discarded" in told(done(set(), {0}))
