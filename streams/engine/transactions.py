"""One librdkafka transaction a batch. Blocking: the slot calls it from a thread."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streams.engine.errors import Away, Fenced
from streams.engine.layout import RECORD_BYTES
from streams.engine.outbox import Produced

TRANSACTION_TIMEOUT_MS: Final = 10_000
"""A dead writer delays readers at most so long; the producer's delivery time-out lies below it."""

TRIES: Final = 5
"""What fails so often is told, and tried again by whoever asked for it."""

FENCED: Final = frozenset(
    {
        KafkaError._FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.INVALID_PRODUCER_ID_MAPPING,
        KafkaError.TRANSACTION_COORDINATOR_FENCED,
        KafkaError._STATE,
    }
)


Delivered = Callable[[KafkaError | None, Message], None]


class Transactions:
    """The producer of one slot. Its id fences whoever held the slot before."""

    def __init__(self, client: dict[str, Any], transactional_id: str) -> None:
        self.id = transactional_id
        self._producer = Producer(
            client
            | {
                "log_level": 2,  # in an outage it would tell each of its tries; what fails is raised anyway
                "transactional.id": transactional_id,
                "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
                "delivery.timeout.ms": 8_000,
                "linger.ms": 5,
                "compression.type": "lz4",
                "message.max.bytes": RECORD_BYTES,
                "queue.buffering.max.messages": 1_000_000,
                "queue.buffering.max.kbytes": 262_144,
            }
        )

    def begin(self, timeout_s: float = 30) -> None:
        """Fence the former owner and end what it left open.

        Raises:
            Away: the broker did not answer in time.
        """
        self._insist(lambda: self._producer.init_transactions(timeout_s))

    def write(self, records: list[tuple[str, list[Produced]]]) -> int:
        """Write all records, (full topic, records) pairs, in one transaction.

        Returns:
            The offset of the very last record.

        Raises:
            Fenced: another process has taken over; nothing was written.
            Away: the broker does not answer; whether it was written shows when the slot is opened again.
        """
        *_, (topic, batch) = records
        last = (topic, batch.pop())
        offsets: list[int] = []

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is None:
                offsets.append(message.offset() or 0)

        for attempt in range(TRIES):
            offsets.clear()
            self._insist(self._producer.begin_transaction)
            try:
                first = FirstRecords()
                for topic, batch in records:
                    begun: set[int] = set()
                    for record in batch:
                        if record[0] in begun:
                            self._produce(topic, record)
                        else:
                            begun.add(record[0])
                            self._produce(topic, record, first.delivered)
                self._produce(*last, delivered)
                self._settle(first)
                self._insist(lambda: self._producer.commit_transaction(TRANSACTION_TIMEOUT_MS / 1000))
            except _Aborted as aborted:
                self._insist(lambda: self._producer.abort_transaction(TRANSACTION_TIMEOUT_MS / 1000))
                if aborted.away or attempt == TRIES - 1:
                    raise Away(f"the broker does not take the records: {aborted}") from aborted
            else:
                break
        return offsets[-1]

    def _settle(self, first: "FirstRecords") -> None:
        try:
            first.settle(self._producer, TRANSACTION_TIMEOUT_MS / 1000)
        except KafkaException as raised:
            raise _Aborted(raised.args[0]) from raised

    def _produce(self, topic: str, record: Produced, delivered: Delivered | None = None) -> None:
        partition, key, value = record
        while True:
            try:
                if delivered is None:
                    self._producer.produce(topic, value, key, partition)
                else:
                    self._producer.produce(topic, value, key, partition, delivered)
            except BufferError:
                self._insist(lambda: self._producer.poll(0.1))
            except KafkaException as raised:
                raise _Aborted(raised.args[0]) from raised
            else:
                return

    def _insist(self, call: Callable[[], Any]) -> None:
        """Call until done; translate what librdkafka raises."""
        for attempt in range(TRIES):
            try:
                call()
            except KafkaException as raised:
                error: KafkaError = raised.args[0]
                if error.txn_requires_abort():
                    raise _Aborted(error) from raised
                if error.fatal() or error.code() in FENCED:
                    raise Fenced(f"{self.id}: {error.str()}") from raised
                if not error.retriable() or attempt == TRIES - 1:
                    raise Away(f"the broker does not answer: {error.str()}") from raised
            else:
                return

    def close(self) -> None:
        """Drop what is queued and let go."""
        with suppress(KafkaException):  # a fenced one says so again; the rest is let go all the same
            self._producer.purge()
            self._producer.close()


class FirstRecords:
    """Whether each partition's first record of a transaction has a place in the log.

    Several requests are under way at a time. A broker that becomes a leader at that moment may refuse
    the first and take the second: of a producer that it does not know yet it takes any sequence number. The
    library then believes that the first was taken before, and only its answer was lost; its record alone has
    no offset. Behind a first record that was taken, the broker keeps count.
    """

    def __init__(self) -> None:
        self._missing: list[str] = []

    def delivered(self, error: KafkaError | None, message: Message) -> None:
        """The first record was delivered, or failed, which the library tells at the commit."""
        if error is None and message.offset() is None:
            self._missing.append(f"{message.topic()} [{message.partition()}]")

    def settle(self, producer: Producer, timeout_s: float) -> None:
        """Wait until all is delivered, or failed. Raises KafkaException where one may be missing."""
        with suppress(KafkaException, SystemError):  # a fatal error, told again by the commit
            producer.flush(timeout_s)
        if self._missing:
            raise KafkaException(KafkaError(KafkaError._FAIL, f"{self._missing[0]}: a record may be missing"))


class _Aborted(Exception):
    """The open transaction must be aborted."""

    def __init__(self, error: KafkaError) -> None:
        super().__init__(error.str())
        self.away = error.code() in {KafkaError._TIMED_OUT, KafkaError._MSG_TIMED_OUT, KafkaError._TRANSPORT}
