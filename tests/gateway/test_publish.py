"""The publisher against librdkafka's own mock cluster: kept or Away, never in between."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from streams.engine.errors import Away
from streams.gateway.publish import Publisher, Records, _Receipt
from tests.gateway.fatal import fail

Start = Callable[..., Awaitable[Publisher]]
MOCK = {"test.mock.num.brokers": 1}


def records(*values: bytes, topic: str = "t") -> Records:
    return {topic: [{"key": b"k", "value": value, "partition": 0} for value in values]}


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    made: list[Publisher] = []

    async def started(client: dict[str, str | int], max_in_flight: int = 1_000_000) -> Publisher:
        publisher = Publisher(client, lambda name: "p." + name, max_in_flight)
        made.append(publisher)
        publisher.start()
        return publisher

    yield started
    for publisher in made:
        await publisher.close()


async def test_it_returns_when_all_records_of_all_topics_are_acknowledged(start: Start) -> None:
    publisher = await start(MOCK)

    async with asyncio.timeout(20):
        await publisher.publish(records(b"1", b"2") | records(b"3", topic="u"))

    assert publisher.in_flight == 0
    assert publisher.reachable


async def test_many_at_once_are_all_answered(start: Start) -> None:
    publisher = await start(MOCK)

    async with asyncio.timeout(20):
        await asyncio.gather(*(publisher.publish(records(b"x" * 100)) for _ in range(500)))

    assert publisher.in_flight == 0


async def test_without_brokers_it_is_away_and_says_so(start: Start, unused_tcp_port: int) -> None:
    address = f"127.0.0.1:{unused_tcp_port}"
    publisher = await start({"bootstrap.servers": address, "delivery.timeout.ms": 300, "log_level": 0})

    with pytest.raises(Away, match="did not acknowledge"):
        await publisher.publish(records(b"1"))

    assert publisher.in_flight == 0
    assert not publisher.reachable
    assert not await publisher.check()


async def test_more_bytes_in_flight_than_the_bound_are_refused_at_once(
    start: Start, unused_tcp_port: int
) -> None:
    address = f"127.0.0.1:{unused_tcp_port}"
    client: dict[str, str | int] = {
        "bootstrap.servers": address, "delivery.timeout.ms": 500, "log_level": 0
    }  # fmt: skip
    publisher = await start(client, 100)
    waiting = asyncio.ensure_future(publisher.publish(records(b"x" * 200)))
    await asyncio.sleep(0)

    with pytest.raises(Away, match="too many bytes"):
        await publisher.publish(records(b"1"))

    assert not waiting.done()
    with pytest.raises(Away):
        await waiting


async def test_a_record_that_librdkafka_does_not_take_is_away(start: Start) -> None:
    publisher = await start(MOCK | {"message.max.bytes": 1_000})

    with pytest.raises(Away, match="did not take"):
        await publisher.publish(records(b"1", b"x" * 5_000))

    assert publisher.in_flight == 0


async def test_after_a_fatal_error_a_new_producer_goes_on(start: Start, unused_tcp_port: int) -> None:
    publisher = await start({"bootstrap.servers": f"127.0.0.1:{unused_tcp_port}", "log_level": 0})
    stuck = asyncio.ensure_future(publisher.publish(records(b"1")))
    await asyncio.sleep(0)
    publisher._client |= MOCK
    fail(publisher._producer)

    async with asyncio.timeout(10):
        with pytest.raises(Away):
            await stuck
        await publisher.publish(records(b"2"))


async def test_a_receipt_that_names_no_offset_is_none(start: Start) -> None:
    """The library guesses that a record was kept as a later one was; a new leader may have refused it."""
    publisher = await start(MOCK)
    told: list[_Receipt] = []
    receipt = _Receipt(1, asyncio.get_running_loop().create_future(), told)
    receipt(None, cast("Any", SimpleNamespace(offset=lambda: None)))
    publisher._settle(told)
    with pytest.raises(Away, match="not known"):
        await receipt.future
