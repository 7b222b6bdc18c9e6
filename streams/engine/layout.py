"""What each topic should look like on the broker, and how what is there differs. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from streams.config import Config
from streams.engine.topics import DAY_MS, TOPICS, Topic, full

MAX_MESSAGE_BYTES = 2 * 1024 * 1024
RECORD_BYTES = MAX_MESSAGE_BYTES - 16_384
"""What a producer may write as one record: the message around it has its own bytes."""
"""A dead letter may hold a whole refused body, a packed changelog record a batch's marks."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One topic on the broker."""

    name: str
    partitions: int
    replication: int
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """How a topic differs: ``fixable`` ones ``topics apply`` mends; the text says what it is."""

    layout: Layout
    kind: str
    text: str
    fixable: bool


def wanted(config: Config, slots: int) -> dict[str, Layout]:
    """Logical name → the topic as it should be; ``slots`` is the partition count of slot topics."""
    counts = {"events": config.partitions, "slots": max(slots, 1), "own": 1}
    return {
        name: Layout(
            full(config.prefix, name),
            counts[topic.partitioned],
            config.replication,
            _settings(topic, config),
        )
        for name, topic in TOPICS.items()
    }


def differences(name: str, layout: Layout, found: Layout | None) -> Iterator[Difference]:
    """What to change so that the found topic is as wanted; ``name`` is the logical one."""
    if found is None:
        yield Difference(layout, "create", f"{layout.name}: missing", fixable=True)
        return
    if found.partitions != layout.partitions:
        yield _partitions(TOPICS[name], layout, found)
    if found.replication < layout.replication:
        text = f"{layout.name}: {found.replication} replicas, not {layout.replication}"
        advice = "move it with kafka-reassign-partitions, or set `replication:`"
        yield Difference(layout, "replicas", f"{text}: {advice}", fixable=False)
    for key, value in layout.settings.items():
        if found.settings.get(key) != value:
            text = f"{layout.name}: {key} is {found.settings.get(key)}, not {value}"
            yield Difference(layout, "settings", text, fixable=True)


def _partitions(topic: Topic, layout: Layout, found: Layout) -> Difference:
    text = f"{layout.name}: {found.partitions} partitions, not {layout.partitions}"
    if topic.partitioned == "slots" and found.partitions < layout.partitions:
        return Difference(layout, "grow", text, fixable=True)
    if topic.partitioned == "events":
        text += (
            f". The number is fixed for life, since keys are hashed over it: write `partitions: "
            f"{found.partitions}`, or take a new `prefix:` for a new line"
        )
    else:
        text += f". Delete {layout.name} if nothing uses it, then run `streams topics apply`"
    return Difference(layout, "partitions", text, fixable=False)


def _settings(topic: Topic, config: Config) -> dict[str, str]:
    settings = {
        "cleanup.policy": "compact" if topic.compacted else "delete",
        "min.insync.replicas": str(config.min_insync),
        "unclean.leader.election.enable": "false",
        "max.message.bytes": str(MAX_MESSAGE_BYTES),
        # retention counts from arrival here, whatever clock the producer has
        "message.timestamp.type": "LogAppendTime",
    }
    if topic.compacted:
        # the active segment is never compacted, hence its age; stores rely on delete.retention.ms
        settings |= {
            "delete.retention.ms": str(2 * DAY_MS),
            "segment.ms": str(DAY_MS // 4),
            "min.cleanable.dirty.ratio": "0.2",
        }
    if topic.retention_ms is not None:
        window = config.dedupe.window_days * DAY_MS if topic.name == "changelog.dedupe" else 0
        settings["retention.ms"] = str(int(topic.retention_ms + window))
    return settings
