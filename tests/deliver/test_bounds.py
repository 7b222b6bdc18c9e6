"""What a lane remembers has an end, and what happens there is stated."""

from streams.config.sections import Lists
from streams.deliver.sending.intake import sent_key
from streams.deliver.sending.position import MOST_RANGES
from streams.engine.outbox import Outbox
from tests.deliver.line import FREE, Line, operation, simulator
from tests.deliver.test_flow import TOPIC, full, intake
from tests.deliver.test_lists import calls, change, make_list, make_profiles
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


async def test_a_backlog_of_known_people_joins_and_leaves_a_list_by_the_thousand() -> None:
    async with simulator(budgets=FREE) as sim:
        await make_list(sim)
        await make_profiles(sim, 1200)
        line = Line(sim.url, timeout_s=5, lists=Lists(guard_share=1.0))
        sizes: dict[str, list[int]] = {}
        for kind, method in (("list_add", "POST"), ("list_remove", "DELETE")):
            line.pauses["lists"] = "until there is a backlog"
            line.put(*(change(3000 * len(sizes) + n, n, kind) for n in range(1200)))
            async with line.life() as slot:
                there = len(line.world.topics["klaviyo.lists"])
                assert await line.until(lambda all_=there: slot.read_up_to("klaviyo.lists") == all_)  # type: ignore[misc]
                line.pauses.clear()
                assert await line.until(line.all_ended, 60)
            made = await calls(sim, method, "/relationships/profiles")
            sizes[kind] = [len(call["body"]["data"]) for call in made]
        assert sizes["list_add"] == [1000, 200]
        # before the hundred and first leaves, the size of the list is asked for
        assert sizes["list_remove"] == [100, 1000, 100]
        assert set(line.world.last().values()) == {("delivered", "accepted")}


async def test_a_bulk_call_has_five_megabytes_at_most() -> None:
    """Measured as it is sent: characters beyond ASCII count as their bytes."""
    async with simulator(budgets=FREE) as sim:
        line = Line(sim.url, timeout_s=30, pauses={"events": "until there is a backlog"})
        payload = {"metric": "Viewed", "properties": {"text": "\u20ac" * 7000}}
        line.put(*(operation(n, payload=payload) for n in range(400)))
        async with line.life() as slot:
            assert await line.until(lambda: slot.read_up_to("klaviyo.events") == 400)
            line.pauses.clear()
            assert await line.until(line.all_ended, 60)
        sent = await sim.requests("bulk")
        assert {call["status"] for call in sent} == {202}
        sizes = sorted(int(call["headers"]["content-length"]) for call in sent)
        assert 4_900_000 < sizes[-1] <= 5_000_000
        assert len(await sim.events()) == 400
