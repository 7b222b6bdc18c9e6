"""Into Kafka: a request's records are kept when every one of them is acknowledged by all in-sync replicas."""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streams.engine.errors import Away
from streams.engine.layout import RECORD_BYTES
from streams.engine.telemetry import log

DELIVERY_TIMEOUT_MS = 8_000
_POLL_S = 0.1
_FAREWELLS = 3
"""How often a producer that ended is asked for the receipts of what it held: they are there at once."""
_SETTINGS: dict[str, str | int] = {
    "acks": "all",
    "enable.idempotence": "true",
    "compression.type": "lz4",
    "linger.ms": 5,
    "delivery.timeout.ms": DELIVERY_TIMEOUT_MS,
    "socket.keepalive.enable": "true",
    "reconnect.backoff.max.ms": 1_000,
    "message.max.bytes": RECORD_BYTES,
    "queue.buffering.max.messages": 1_000_000,
    "log_level": 2,  # connections come and go; whether brokers answer is logged once, by ourselves
}

Records = Mapping[str, Sequence[dict[str, Any]]]
"""Topic → records ``{"key", "value", "partition"}``."""


class _Receipt:
    """What is still to be acknowledged of one request; called by librdkafka on the polling thread."""

    __slots__ = ("_settled", "away", "future", "pending")

    def __init__(self, pending: int, future: "asyncio.Future[None]", settled: "list[_Receipt]") -> None:
        self.pending = pending
        self.future = future
        self.away: str | None = None
        self._settled = settled

    def __call__(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self.away = error.str()
        elif message.offset() is None:  # see ``transactions.FirstRecords``: that it was kept is a guess
            self.away = "where it is kept is not known"
        self.pending -= 1
        if self.pending == 0:
            self._settled.append(self)


class Publisher:
    """One idempotent producer and the thread that serves it."""

    def __init__(
        self, client: Mapping[str, str | int], topic: Callable[[str], str], max_in_flight: int
    ) -> None:
        kilobytes = max(1024, max_in_flight // 512)
        self._client = {**_SETTINGS, "queue.buffering.max.kbytes": kilobytes, **client}
        self._topic = topic
        self._max_in_flight = max_in_flight
        self._settled: list[_Receipt] = []
        self._waiting: set[asyncio.Future[None]] = set()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._producer = self._make()
        self.in_flight = 0
        """Bytes handed to librdkafka and not acknowledged yet."""
        self.reachable = True
        """Whether the last word about the brokers was a good one."""

    def _make(self) -> Producer:
        return Producer({**self._client, "error_cb": self._heard}, logger=logging.getLogger("streams.kafka"))

    def _heard(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - the library's public constant
            if self.reachable:
                log.warning("kafka_away", why=error.str())
            self.reachable = False

    def start(self) -> None:
        """Start the thread; call it in the running event loop."""
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._serve, args=(loop,), name="acks", daemon=True)
        self._thread.start()

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        while not self._stop.is_set():
            try:
                self._producer.poll(_POLL_S)
            except KafkaException as fatal:  # the library raises what its callback for errors is not told
                self._replace(fatal)
            if self._settled:
                settled = self._settled.copy()
                del self._settled[: len(settled)]
                loop.call_soon_threadsafe(self._settle, settled)

    def _replace(self, fatal: KafkaException) -> None:
        """Take a new producer where librdkafka says that the old one can't go on."""
        log.error("producer_replaced", why=f"{fatal}; what it held is answered with 503")
        old, self._producer = self._producer, self._make()
        old.purge()
        for _ in range(_FAREWELLS):
            with suppress(KafkaException):  # it may say it once more
                old.poll(0)

    def _settle(self, settled: list[_Receipt]) -> None:
        for receipt in settled:
            if receipt.future.done():
                continue
            self.reachable = receipt.away is None
            if receipt.away is None:
                receipt.future.set_result(None)
            else:
                receipt.future.set_exception(Away(f"the broker did not acknowledge: {receipt.away}"))

    async def publish(self, records: Records) -> None:
        """Return when every record is acknowledged.

        Raises:
            Away: at least one is not, or too many bytes wait for acknowledgement already. Some of the records
                may be kept nevertheless: a second try makes duplicates, which dedupe drops.
        """
        size = sum(len(record["value"]) for batch in records.values() for record in batch)
        if self.in_flight and self.in_flight + size > self._max_in_flight:
            raise Away("too many bytes wait for the broker")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        receipt = _Receipt(sum(map(len, records.values())), future, self._settled)
        self.in_flight += size
        self._waiting.add(future)
        try:
            self._hand_over(records, receipt)
            await future
        finally:
            self.in_flight -= size
            self._waiting.discard(future)

    def _hand_over(self, records: Records, receipt: _Receipt) -> None:
        producer = self._producer
        try:
            for name, batch in records.items():
                queued = producer.produce_batch(self._topic(name), list(batch), on_delivery=receipt)
                if queued < len(batch):
                    error = next((record["_error"] for record in batch if "_error" in record), "queue full")
                    raise Away(f"librdkafka did not take the records: {error}")
        except (BufferError, KafkaException) as error:
            raise Away(f"librdkafka did not take the records: {error}") from error

    async def check(self) -> bool:
        """Tell whether the brokers can be reached; asks them only when the last word was a bad one."""
        if self.reachable:
            return True
        try:
            await asyncio.to_thread(self._producer.list_topics, timeout=2)
        except KafkaException:
            return False
        self.reachable = True
        return True

    def give_up(self) -> None:
        """Answer everybody who still waits: Away. What is kept nevertheless comes again, as a duplicate."""
        for future in self._waiting:
            if not future.done():
                future.set_exception(Away("the gateway is stopping"))

    async def close(self) -> None:
        """Stop the thread; every request has been answered before."""
        self._stop.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, 2)
        self._producer.purge()
