"""Nothing lost and nothing twice: what was asked for, what was said of it, what Klaviyo has."""

from collections import Counter

from tests.soak.place import MAKERS, Line
from tests.soak.results import Row


def kept(name: str, line: Line) -> list[Row]:
    """Wait until all is done; how many operations miss an outcome or a record, how many have two records."""
    outcomes = line.drained()
    records = Counter(event["unique_id"] for event in line.klaviyo.ask("events")["data"])
    missing = twice = 0
    for feed in line.feeds:
        ids = [MAKERS[feed.lane](n)["op_id"] for n in range(feed.count)]
        missing += sum(not set(outcomes.get(op_id, ())) & {"delivered", "unchanged"} for op_id in ids)
        twice += sum(sum(outcomes.get(op_id, {}).values()) > 1 for op_id in ids)
        if feed.lane == "events":
            missing += sum(op_id not in records for op_id in ids)
            twice += sum(records[op_id] > 1 for op_id in ids)
    total = sum(feed.count for feed in line.feeds)
    return [Row(f"{name}.missing", missing, 0, note=f"of {total}"), Row(f"{name}.twice", twice, 0)]
