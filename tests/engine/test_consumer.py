"""What the fetching thread hands on, and what Faust makes of it."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.structs import ConsumerRecord
from faust.types import TP

from streams.engine.errors import StateMismatch
from streams.engine.inbox import Fetched
from tests.engine.fetching import A, B, Life


@pytest.fixture
async def life() -> AsyncIterator[Life]:
    found = Life()
    yield found
    await found.close()


def offsets(fetched: Fetched) -> tuple[int, list[int]]:
    return fetched.start, [record.offset for record in fetched.records]


async def test_what_was_fetched_of_a_partition_paused_meanwhile_is_handed_on(life: Life) -> None:
    """Its position stands behind these records: they come once, and the next begin where they ended."""
    await life.deal({A: 0, B: 0})
    fetched_records = life.fetcher.fetched_records

    async def paused_then(*args: Any, **kwargs: Any) -> Any:
        records = await fetched_records(*args, **kwargs)
        life.active.discard(A)  # the main thread: a full lane
        return records

    life.fetcher.fetched_records = paused_then
    life.broker.write(A, 0, 3)
    assert offsets((await life.fetch())[A]) == (0, [0, 1, 2])

    life.fetcher.fetched_records = fetched_records
    life.active.add(A)
    life.broker.write(A, 4, 6)  # a marker lies between
    assert offsets((await life.fetch())[A]) == (3, [4, 5])


async def test_the_last_active_partition_paused_while_a_fetch_waits_loses_nothing(life: Life) -> None:
    """An empty set means all to the library."""
    await life.deal({A: 0})
    waiting = asyncio.create_task(life.fetch())
    await asyncio.sleep(0)
    life.active.clear()
    life.broker.write(A, 0, 3)
    assert offsets((await waiting)[A]) == (0, [0, 1, 2])

    life.active.add(A)
    life.broker.write(A, 3, 5)
    assert offsets((await life.fetch())[A]) == (3, [3, 4])


async def test_where_a_partition_stood_in_a_former_deal_tells_nothing_of_this_one(life: Life) -> None:
    """The library begins where the group committed: what lies between is not said to be empty."""
    life.broker.write(A, 0, 1000)
    await life.deal({A: 100})
    assert offsets((await life.fetch())[A])[0] == 100
    life.broker.write(A, 1000, 1500)
    life.assign(A, B)
    for tp, committed in ((A, 1200), (B, 0)):
        life.subscription.subscription.assignment.state_value(tp).await_reset(-2)
        life.subscription.subscription.assignment.state_value(tp).reset_to(committed)
    found = (await life.fetch())[A]
    assert found.start >= 1200
    assert found.records[0].offset == 1200


async def test_what_the_library_moved_past_by_itself_is_not_said_to_be_empty(life: Life) -> None:
    """Whatever passes over records, the next fetch tells where it began, and the slot asks for the rest."""
    await life.deal({A: 0})
    life.broker.write(A, 0, 10)
    assert offsets((await life.fetch())[A])[0] == 0
    life.broker.write(A, 10, 30)
    assert (await life.fetcher.fetched_records(set(), 5, 1000))[A][-1].offset == 29  # and nobody is told
    life.broker.write(A, 30, 40)
    assert offsets((await life.fetch())[A])[0] == 30


async def test_what_the_group_committed_may_lie_below_what_is_kept(life: Life) -> None:
    """A killed worker had done more than it committed; what it had done was deleted since."""
    life.broker.write(A, 0, 20)
    life.broker.starts[A] = 10
    life.assign(A)
    life.subscription.subscription.assignment.state_value(A).seek(5)
    for _ in range(3):
        assert await life.fetch(0.05) == {}
    await life.thread.seek_wait({A: 10})
    assert offsets((await life.fetch())[A]) == (10, list(range(10, 20)))


async def test_records_deleted_before_they_were_read_are_told(life: Life) -> None:
    life.broker.write(A, 0, 20)
    life.broker.starts[A] = 10
    await life.deal({A: 5})
    with pytest.raises(StateMismatch, match="deleted before they were read"):
        await life.fetch()


async def test_a_seek_while_records_are_on_their_way_leaves_them_behind(life: Life) -> None:
    """Neither what the broker is about to answer, nor what was unpacked in part, is handed on after it."""
    life.broker.write(A, 0, 2400)
    await life.deal({A: 0})
    assert offsets((await life.fetch())[A])[1][-1] == 999
    await life.thread.seek_wait({A: 500})
    found = await life.fetch()
    assert offsets(found[A]) == (500, list(range(500, 1500)))

    await life.fetch()
    async with asyncio.timeout(20):
        while not life.fetcher._in_flight:
            await asyncio.sleep(0.001)
    await life.thread.seek_wait({A: 5})
    life.broker.write(A, 2400, 2401)
    assert offsets((await life.fetch())[A]) == (5, list(range(5, 1005)))


async def test_markers_behind_the_last_record_are_passed_and_the_input_is_empty(life: Life) -> None:
    life.broker.write(A, 0, 3)
    await life.deal({A: 0})
    assert not life.thread.empty(A, 0)
    assert offsets((await life.fetch())[A]) == (0, [0, 1, 2])
    assert not life.thread.empty(A, 2)
    while not life.thread.empty(A, 3):
        assert await life.fetch(0.01) == {}
    life.broker.write(A, 3, 4)
    async with asyncio.timeout(20):
        while A not in life.fetcher._records:
            await asyncio.sleep(0.001)
    assert not life.thread.empty(A, 3)


async def drain(life: Life, fetches: list[dict[TP, Fetched]], arrive: Any) -> None:
    """Run Faust's own loop over these fetches."""
    over = asyncio.Event()
    left = iter(fetches)

    async def getmany(*_: Any) -> dict[TP, Fetched]:
        if (found := next(left, None)) is not None:
            return found
        over.set()
        return {}

    life.thread.getmany, life.consumer.callback = getmany, arrive
    fetcher: Any = SimpleNamespace(_stopped=over)
    async with asyncio.timeout(20):
        await life.consumer._drain_messages(fetcher)


def fetched(start: int, end: int) -> dict[TP, Fetched]:
    records: list[Any] = [
        ConsumerRecord(A.topic, A.partition, at, 0, 0, None, b"x", None, -1, 1, ())
        for at in range(start, end)
    ]
    return {A: Fetched(start, records)}


async def test_what_is_read_again_is_not_dropped_for_what_was_read_further_on(life: Life) -> None:
    """A slot that was opened again stands at 500; the seek is done before Faust has noted the 700."""
    await life.deal({A: 700})
    came: list[int] = []

    async def arrive(message: Any) -> None:
        came.append(message.value.start)
        if message.value.start == 700:
            await life.consumer.seek_wait({A: 500})

    await drain(life, [fetched(700, 710), fetched(500, 710)], arrive)
    assert came == [700, 500]


async def test_what_was_fetched_before_the_flow_goes_on_after_a_rebalance_is_handed_on(life: Life) -> None:
    """It may lie behind the seek to the slots' positions: nobody would read it again."""

    async def wait_next(timeout: float) -> Any:
        asyncio.get_running_loop().call_soon(life.consumer.resume_flow)
        life.consumer.stop_flow()
        return fetched(0, 5), life.active

    life.consumer._wait_next_records = wait_next
    assert [message.value.start async for _, message in life.consumer.getmany(1.0)] == [0]


async def test_partitions_without_a_leader_hold_up_no_other_call(life: Life) -> None:
    """Faust's calls into its thread run two at a time; the question where a partition begins is none."""
    led, asked_for = asyncio.Event(), asyncio.Semaphore(0)

    async def beginnings(tps: tuple[TP, ...]) -> dict[TP, int]:
        asked_for.release()
        await led.wait()
        return dict.fromkeys(tps, 7)

    life.library.beginning_offsets = beginnings
    del life.thread.call_thread
    await life.thread.method_queue.start()
    asked = [asyncio.create_task(life.consumer.earliest_offsets(A)) for _ in range(4)]
    async with asyncio.timeout(20):
        for _ in range(2):
            await asked_for.acquire()
        await life.deal({A: 0})
    led.set()
    assert await asyncio.gather(*asked) == [{A: 7}] * 4
    await life.thread.method_queue.stop()
