"""What a lane remembers has an end, and what happens there is stated."""

from streams.deliver.intake import sent_key
from streams.deliver.position import MOST_RANGES
from streams.engine.outbox import Outbox
from tests.deliver.test_flow import TOPIC, full, intake
from tests.deliver.test_upkeep import NOW, made

DAY_MS = 86_400_000
SHARDS = 1 << 16


def test_sent_ids_are_remembered_for_28_days_and_gone_within_four_more() -> None:
    ids = [f"{n:04x}" + "0" * 28 for n in range(0, SHARDS, 4096)]
    today = NOW // DAY_MS
    store = {sent_key(op_id): b"%d" % (today - (20 if n % 2 else 29)) for n, op_id in enumerate(ids)}
    upkeep, clock = made(store)
    gone: set[bytes] = set()
    for _ in range(SHARDS):
        outbox = Outbox()
        upkeep.turn(outbox)
        gone |= outbox.changes.keys()
        for key in outbox.changes:
            del store[key]
        clock.ms += 5000
    assert gone == {sent_key(op_id) for op_id in ids[::2]}


def test_a_lane_reads_no_further_with_100_000_ranges_done_beyond_its_first_open_offset() -> None:
    assert MOST_RANGES == 100_000
    found = intake()
    position = found.positions[TOPIC]
    for offset in range(2 * MOST_RANGES + 2):
        position.take(offset)
    for n in range(1, MOST_RANGES):
        position.done(2 * n, 2 * n + 1)
    assert not full(found)
    position.done(2 * MOST_RANGES, 2 * MOST_RANGES + 1)
    assert full(found)
    position.done(1, 2)  # one range with the next: a place is free
    position.done(0, 1)
    assert not full(found)
