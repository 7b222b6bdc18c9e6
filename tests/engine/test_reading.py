"""Reading ranges to their ends, past whatever transactions leave."""

import time

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from streams.engine.errors import Away, Misconfigured
from streams.engine.reading import Range, Reader
from streams.local.stack import Stack

pytestmark = pytest.mark.stack


@pytest.fixture
def topic(stack: Stack, prefix: str) -> str:
    name = prefix + "read"
    admin = AdminClient({"bootstrap.servers": stack.kafka})
    admin.create_topics([NewTopic(name, 2, 1)])[name].result(10)
    return name


def producer(stack: Stack, topic: str) -> Producer:
    made = Producer({"bootstrap.servers": stack.kafka, "transactional.id": topic})
    made.init_transactions(30)
    made.begin_transaction()
    return made


def read(reader: Reader, topic: str) -> list[bytes | None]:
    places = [(topic, 0), (topic, 1)]
    starts, ends = reader.starts(places), reader.ends(places)
    reader.settle(ends)
    return [m.value() for b in reader.read([Range(*p, starts[p], ends[p]) for p in places]) for m in b]


def test_committed_records_are_read_and_a_marker_at_the_end_ends_it(stack: Stack, topic: str) -> None:
    one = producer(stack, topic)
    one.produce(topic, b"kept", partition=0)
    one.commit_transaction(30)
    one.begin_transaction()
    one.produce(topic, b"aborted", partition=0)
    one.produce(topic, b"aborted", partition=1)
    one.flush(30)
    one.abort_transaction(30)
    reader = Reader({"bootstrap.servers": stack.kafka})
    assert reader.places([topic]) == [(topic, 0), (topic, 1)]
    began = time.monotonic()
    assert read(reader, topic) == [b"kept"]
    assert time.monotonic() - began < 10


def test_only_the_range_is_read(stack: Stack, topic: str) -> None:
    plain = Producer({"bootstrap.servers": stack.kafka})
    for n in range(10):
        plain.produce(topic, str(n).encode(), partition=0)
    assert plain.flush(30) == 0
    reader = Reader({"bootstrap.servers": stack.kafka})
    found = [m.value() for b in reader.read([Range(topic, 0, 3, 5), Range(topic, 1, 0, 0)]) for m in b]
    assert found == [b"3", b"4"]


def test_an_open_transaction_means_that_it_cannot_be_told(stack: Stack, topic: str) -> None:
    one = producer(stack, topic)
    one.produce(topic, b"open", partition=0)
    one.flush(30)
    reader = Reader({"bootstrap.servers": stack.kafka})
    ends = reader.ends([(topic, 0)])
    with pytest.raises(Away, match="transaction stays open"):
        reader.settle(ends, patience_s=0.2)
    one.abort_transaction(30)
    reader.settle(ends)


def test_a_topic_that_is_not_there_says_what_to_run(stack: Stack, prefix: str) -> None:
    with pytest.raises(Misconfigured, match="streams topics apply"):
        Reader({"bootstrap.servers": stack.kafka}).places([prefix + "none"])
