"""A partition that is resumed is read on at once: what was fetched of it is here already."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.engine.fetching import A, B, Life


@pytest.fixture
async def life() -> AsyncIterator[Life]:
    found = Life()
    found.consumer.ownership.readable = set
    yield found
    await found.close()


async def test_while_a_fetch_waits_for_others(life: Life) -> None:
    """The library looks again when something new arrives, or its second is over: here, an hour."""
    await life.deal({A: 0, B: 0})
    life.consumer.pause_partitions({A})
    life.broker.write(A, 0, 3)
    waiting = asyncio.create_task(life.thread.getmany(life.active, 3600.0))
    async with asyncio.timeout(20):
        while A not in life.fetcher._records or not life.fetcher._fetch_waiters:
            await asyncio.sleep(0.001)
        assert not waiting.done()
        life.consumer.resume_partitions({A})
        assert [record.offset for record in (await waiting)[A].records] == [0, 1, 2]


async def test_while_all_are_paused(life: Life) -> None:
    """Faust sleeps for a second then, whatever is resumed."""
    await life.deal({A: 0})
    life.consumer.pause_partitions({A})
    waiting = asyncio.create_task(life.consumer._wait_next_records(3600.0))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    async with asyncio.timeout(20):
        life.consumer.resume_partitions({A})
        await waiting


async def test_to_resume_what_is_read_already_disturbs_no_fetch(life: Life) -> None:
    """A slot says so with each batch it takes."""
    await life.deal({A: 0})
    waiting = asyncio.create_task(life.thread.getmany(life.active, 3600.0))
    async with asyncio.timeout(20):
        while not life.fetcher._fetch_waiters:
            await asyncio.sleep(0.001)
    (waiter,) = life.fetcher._fetch_waiters
    life.consumer.resume_partitions({A})
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiter.done()
    waiting.cancel()
