"""What the broker never takes is told: no transaction is tried for ever."""

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams.engine.errors import Away, Fenced
from streams.engine.transactions import TRIES, Transactions


class Refusing:
    """A producer whose records are too large for the broker."""

    def __init__(self) -> None:
        self.aborted = 0

    def begin_transaction(self) -> None:
        """One more try."""

    def produce(self, *_: Any) -> None:
        raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))

    def abort_transaction(self, _: float) -> None:
        self.aborted += 1


def test_a_record_that_is_never_taken_ends_the_writing() -> None:
    transactions = object.__new__(Transactions)
    transactions._producer = producer = Refusing()  # type: ignore[assignment]

    with pytest.raises(Away, match="size too large"):
        transactions.write([("t", [(0, None, b"")]), ("changelog", [(0, None, b"")])])

    assert producer.aborted == TRIES


class Overtaken:
    """A producer whose first record a broker refused, and took the next: the library believes both kept."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self._sent: list[Any] = []

    def begin_transaction(self) -> None:
        self._sent = []

    def produce(self, topic: str, value: bytes, key: bytes | None, partition: int, told: Any = None) -> None:
        self._sent.append((topic, partition, told))

    def flush(self, _: float) -> int:
        lost = not self.told
        for number, (topic, partition, told) in enumerate(self._sent):
            offset = None if lost and number == 0 else number
            if told is not None:
                told(None, SimpleNamespace(topic=lambda t=topic: t, partition=lambda p=partition: p,
                                           offset=lambda o=offset: o))  # fmt: skip
        return 0

    def abort_transaction(self, _: float) -> None:
        self.told.append("aborted")

    def commit_transaction(self, _: float) -> None:
        self.told.append("committed")


def test_a_transaction_whose_first_record_may_be_missing_is_not_committed() -> None:
    """A broker takes any sequence number of a producer that it does not know: its success says nothing."""
    transactions = object.__new__(Transactions)
    transactions._producer = producer = Overtaken()  # type: ignore[assignment]

    records = [("t", [(0, None, b"1"), (0, None, b"2")]), ("changelog", [(0, None, b"")])]
    assert transactions.write(records) == 2
    assert producer.told == ["aborted", "committed"]


class Fatal(Overtaken):
    """A producer that is fenced while it tells what became of records; the binding stumbles over both."""

    def flush(self, _: float) -> int:
        raise SystemError("a callback returned a result with an exception set")

    def commit_transaction(self, _: float) -> None:
        raise KafkaException(KafkaError(KafkaError._FENCED))


def test_what_is_fatal_is_told_as_what_it_is() -> None:
    transactions = object.__new__(Transactions)
    transactions.id, transactions._producer = "dedupe/0", Fatal()  # type: ignore[assignment]

    with pytest.raises(Fenced):
        transactions.write([("t", [(0, None, b"1")]), ("changelog", [(0, None, b"")])])
