"""Single records read again by their offsets, whatever lies between them."""

import threading
import time

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from streams.engine.reading import place_of
from streams.engine.rereading import Rereader
from streams.local.stack import Stack
from tests.line import eventually

pytestmark = pytest.mark.stack
ONE, OTHER = "one", "other"
COUNT = 5000


@pytest.fixture
def rereader(stack: Stack, prefix: str) -> Rereader:
    """Over two topics: plain records of 0…4999, and one record a transaction with a marker behind each."""
    names = [prefix + ONE, prefix + OTHER]
    admin = AdminClient({"bootstrap.servers": stack.kafka})
    made = admin.create_topics([NewTopic(name, 1, 1) for name in names])
    for future in made.values():
        future.result(10)
    plain = Producer({"bootstrap.servers": stack.kafka})
    for n in range(COUNT):
        plain.produce(names[0], str(n).encode(), partition=0)
    assert plain.flush(30) == 0
    marked = Producer({"bootstrap.servers": stack.kafka, "transactional.id": names[1]})
    marked.init_transactions(30)
    for n in range(4):
        marked.begin_transaction()
        marked.produce(names[1], str(n).encode(), partition=0)
        marked.commit_transaction(30)
    return Rereader({"bootstrap.servers": stack.kafka}, prefix, 0)


def found(rereader: Rereader, runs: dict[str, list[list[int]]]) -> list[tuple[str, int, bytes | None]]:
    return [(topic, place_of(each)[1], each.value()) for topic, each in rereader.read(runs)]


def test_what_is_asked_for_is_read_and_nothing_else(rereader: Rereader) -> None:
    runs = {ONE: [[4990, 4995], [3, 5], [10, 11]], OTHER: [[0, 1], [4, 7]]}
    assert found(rereader, runs) == [
        *((ONE, n, str(n).encode()) for n in (3, 4, 10, 4990, 4991, 4992, 4993, 4994)),
        (OTHER, 0, b"0"), (OTHER, 4, b"2"), (OTHER, 6, b"3"),
    ]  # fmt: skip
    assert len(found(rereader, {ONE: [[0, COUNT]]})) == COUNT
    rereader.close()
    assert found(rereader, {ONE: [[1, 2]]}) == [(ONE, 1, b"1")]  # it opens again
    rereader.close()


def test_what_retention_took_is_left_out(stack: Stack, prefix: str, rereader: Rereader) -> None:
    admin = AdminClient({"bootstrap.servers": stack.kafka})
    gone = admin.delete_records([TopicPartition(prefix + ONE, 0, 100)])
    for future in gone.values():
        future.result(10)
    assert [offset for _, offset, _ in found(rereader, {ONE: [[5, 7], [99, 102]]})] == [100, 101]
    rereader.close()


def test_closing_ends_a_reading_under_way(rereader: Rereader) -> None:
    """Offsets that were never written are waited for, but not by whoever leaves."""
    reading = threading.Thread(target=lambda: found(rereader, {ONE: [[COUNT, COUNT + 1]]}))
    reading.start()
    eventually(lambda: rereader._consumer is not None)
    began = time.monotonic()
    rereader.close()
    reading.join(5)
    assert not reading.is_alive()
    assert time.monotonic() - began < 5
