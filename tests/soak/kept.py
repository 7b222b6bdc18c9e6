"""Nothing lost and nothing twice: what was asked for, what was said of it, what Klaviyo has."""

from tests.soak.place import MAKERS, Line
from tests.soak.results import Row


def kept(name: str, line: Line) -> list[Row]:
    """Wait until all is done: operations without a good end, with two, and records too few or too many."""
    outcomes = line.drained()
    missing = twice = records = 0
    for feed in line.feeds:
        ends = [outcomes.get(MAKERS[feed.lane](n)["op_id"], {}) for n in range(feed.count)]
        missing += sum(not set(end) & {"delivered", "unchanged"} for end in ends)
        twice += sum(sum(end.values()) > 1 for end in ends)
        records += feed.count if feed.lane == "events" else 0
    stored = line.klaviyo.ask("stats")["accounts"]["s0"]["events"]
    note = f"of {sum(feed.count for feed in line.feeds)}; {stored} events stored of {records}"
    return [
        Row(f"{name}.missing", missing + max(0, records - stored), 0, note=note),
        Row(f"{name}.twice", twice + max(0, stored - records), 0),
    ]
