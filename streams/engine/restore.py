"""A store brought up to its changelog's end. Blocking: the slot calls it from a thread."""

from time import monotonic, time
from typing import Any, Final

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, TopicPartition

from streams.engine.changelog import changes_of
from streams.engine.errors import Away
from streams.engine.store import Store

BATCH: Final = 10_000
STALL_S: Final = 30.0
"""Without a record or progress for so long the broker counts as away."""


def restore(
    client: dict[str, Any], topic: str, partition: int, store: Store, packed: bool, tombstones_s: float
) -> int:
    """Apply the changelog from where the store is to its end; the whole of it where the store is too old.

    Args:
        client: librdkafka's connection settings.
        topic: full name of the changelog.
        partition: the slot's partition.
        store: filled in place.
        packed: the changelog's form.
        tombstones_s: how long deletions are surely still in the log, seconds.

    Returns:
        The number of changelog records applied.

    Raises:
        Away: the broker does not answer.
    """
    consumer = Consumer(
        client
        | {
            "log_level": 2,
            "group.id": "restore",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 50,
            "queued.max.messages.kbytes": 32_768,
        }
    )
    try:
        return _catch_up(consumer, TopicPartition(topic, partition), store, packed, tombstones_s)
    except KafkaException as raised:
        raise Away(f"{topic} can't be read: {raised.args[0].str()}") from raised
    finally:
        consumer.close()


def _catch_up(
    consumer: Consumer, place: TopicPartition, store: Store, packed: bool, tombstones_s: float
) -> int:
    low, end = consumer.get_watermark_offsets(place, timeout=10)
    reflects, written_at = store.reflects() or (-1, 0)
    if not low <= reflects <= end or abs(time() - written_at) > tombstones_s / 2:
        store.clear()
        reflects = low
    place.offset = reflects
    consumer.assign([place])
    applied, last_progress = 0, monotonic()
    while reflects < end:
        messages = consumer.consume(BATCH, timeout=0.2)
        changes: list[tuple[bytes, bytes | None]] = []
        ended = False
        for message in messages:
            if (error := message.error()) is not None:
                if error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                # a new leader may tell of an earlier end for a moment: what was committed is behind it
                ended = (message.offset() or 0) >= end
                continue
            changes.extend(changes_of(message.key() or b"", message.value(), packed))
            reflects = (message.offset() or 0) + 1
            applied += 1
        if changes:
            store.write(changes, reflects)
        # The last record is a transaction's marker, which nobody is handed: the position tells the end.
        position = consumer.position([place])[0].offset
        if ended or position >= end:
            if position not in (OFFSET_INVALID, reflects) and position > reflects:
                reflects = position
            break
        if messages:
            last_progress = monotonic()
        elif monotonic() - last_progress > STALL_S:
            raise Away(f"{place.topic} [{place.partition}] stopped at {position} of {end}")
    store.write([], reflects)
    return applied
