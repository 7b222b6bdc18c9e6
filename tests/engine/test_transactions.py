"""What the broker never takes is told: no transaction is tried for ever."""

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams.engine.errors import Away
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
