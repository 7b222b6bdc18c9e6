"""A foreign topic as a consumer group reads it: from where it was told, jumping over nothing."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams.engine.errors import Misconfigured
from streams.engine.reading import Place, Properties, place_of, translated
from streams.engine.telemetry import log

BATCH: Final = 2_000
BATCH_BYTES: Final = 8_000_000
LOOK_S: Final = 0.2
"""How long it waits for a first record: how soon it hears that it is to stop, too."""
SESSION_MS: Final = 10_000
_OTHERS_THERE: Final = frozenset(
    {KafkaError.UNKNOWN_MEMBER_ID, KafkaError.ILLEGAL_GENERATION, KafkaError.REBALANCE_IN_PROGRESS}
)
"""The group has members: whoever joined first has said where it begins."""
From = Literal["earliest", "latest"]


@dataclass(frozen=True, slots=True)
class Crossing:
    """What is bridged: topic (its name on the broker), group, source and its spaces, where a group begins."""

    topic: str
    group: str
    source: str
    spaces: tuple[str, ...]
    begin: From = "earliest"


@dataclass(slots=True)
class Held:
    """Records read and not committed yet; a partition that is taken away takes its own with it."""

    messages: list[Message] = field(default_factory=list)
    size: int = 0

    @property
    def full(self) -> bool:
        """Whether it is a batch."""
        return len(self.messages) >= BATCH or self.size >= BATCH_BYTES

    def add(self, message: Message) -> None:
        """Hold one more."""
        self.messages.append(message)
        self.size += len(message.value() or b"")

    def drop(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Whoever has these partitions next reads their records again."""
        gone = {(each.topic, each.partition) for each in partitions}
        kept, self.messages, self.size = self.messages, [], 0
        for message in kept:
            if place_of(message)[0] not in gone:
                self.add(message)

    def take(self) -> list[Message]:
        """All of them, to be committed."""
        taken, self.messages, self.size = self.messages, [], 0
        return taken


class Foreign:
    """One member of the group."""

    def __init__(self, client: Properties, crossing: Crossing) -> None:
        self._crossing, self._held = crossing, Held()
        self._begins: dict[int, int] = {}
        self.dealt = False
        """Whether the group has told which partitions are this member's."""
        self.consumer = Consumer(
            {
                **client,
                "group.id": crossing.group,
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "auto.offset.reset": "error",  # a jump over deleted records is never silent
                "partition.assignment.strategy": "range",
                "session.timeout.ms": SESSION_MS,
                "queued.max.messages.kbytes": 65_536,
            }
        )

    def join(self) -> None:
        """Become a member. Raises Away, Misconfigured if there is no such topic."""
        with translated():
            begin_where_told(self.consumer, self._crossing)
            drop = self._held.drop
            assigned = self._assigned
            self.consumer.subscribe([self._crossing.topic], on_assign=assigned, on_revoke=drop, on_lost=drop)

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        _begin(consumer, partitions)
        self._begins = {each.partition: each.offset for each in partitions}
        self.dealt = True

    def lags(self) -> dict[int, int]:
        """Offsets left to read by partition, as far as fetches have told."""
        found = {}
        with translated():
            mine = self.consumer.position(self.consumer.assignment())
        for each in mine:
            at = each.offset if each.offset >= 0 else self._begins.get(each.partition, 0)
            bounds = self.consumer.get_watermark_offsets(each, cached=True)
            if bounds is not None and bounds[1] >= 0:
                found[each.partition] = max(0, bounds[1] - at)
        return found

    def read(self) -> list[Message]:
        """What is there, up to a batch; one by one, since a rebalance between two takes records back.

        Raises:
            Away: the brokers don't answer.
            Misconfigured: the topic is gone, or what is to be read next.
        """
        timeout, held = LOOK_S, self._held
        with translated():
            while not held.full:
                message = self.consumer.poll(timeout)
                if message is None:
                    break
                error = message.error()
                if error is not None:
                    raise self._why(error)
                held.add(message)
                timeout = 0
        return held.take()

    def _why(self, error: KafkaError) -> Exception:
        crossing = self._crossing
        if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 - the library's public constant
            return Misconfigured(
                f"retention took what group {crossing.group} would read next of {crossing.topic}: set the "
                "group's offsets with Kafka's own tool, or take another --group"
            )
        if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return Misconfigured(f"there is no topic {crossing.topic} any more")
        return KafkaException(error)

    def close(self) -> None:
        """Leave the group."""
        self.consumer.close()


def _begin(consumer: Consumer, partitions: list[TopicPartition]) -> None:
    """From what is committed; a partition without was added since, and begins at its beginning."""
    for each in consumer.committed(partitions, timeout=30):
        if each.error is not None:
            raise KafkaException(each.error)
        place = next(p for p in partitions if p.partition == each.partition)
        place.offset = each.offset if each.offset >= 0 else consumer.get_watermark_offsets(place, 10)[0]
    consumer.assign(partitions)
    log.info("bridge_assigned", partitions=sorted(each.partition for each in partitions))


def behind(batch: Iterable[Message]) -> list[TopicPartition]:
    """The offsets behind a batch."""
    ends: dict[Place, int] = {}
    for message in batch:
        place, offset = place_of(message)
        ends[place] = offset + 1
    return [TopicPartition(*place, end) for place, end in ends.items()]


def begin_where_told(consumer: Consumer, crossing: Crossing) -> None:
    """Commit where a new group begins, for all partitions at once; a group that has begun stays as it is.

    So ``latest`` means the moment of the first start, whenever each partition gets its first record.

    Raises:
        Misconfigured: there is no such topic.
        KafkaException: the brokers don't answer.
    """
    found = consumer.list_topics(crossing.topic, timeout=10).topics[crossing.topic]
    if found.error is not None or not found.partitions:
        raise Misconfigured(f"there is no topic {crossing.topic} on this cluster")
    places = [TopicPartition(crossing.topic, partition) for partition in found.partitions]
    if any(each.offset >= 0 for each in consumer.committed(places, timeout=30)):
        return
    for place in places:
        low, high = consumer.get_watermark_offsets(place, timeout=10)
        place.offset = low if crossing.begin == "earliest" else high
    try:
        consumer.commit(offsets=places, asynchronous=False)
    except KafkaException as raised:
        if raised.args[0].code() not in _OTHERS_THERE:
            raise
