"""``streams topics``: topics as the table says, a slot for each space and account."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import asdict
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from streams.config import Config
from streams.engine.control import Control, key_bytes, now_ms, read_control
from streams.engine.errors import Away, Misconfigured
from streams.engine.layout import Difference, Layout, differences, wanted
from streams.engine.reading import PATIENCE_S, quiet, translated
from streams.engine.registry import Registry
from streams.engine.slots import Slots
from streams.engine.topics import TOPICS, full
from streams.engine.transactions import FirstRecords

Say = Callable[[str], None]
_ROUNDS = 10


def apply(config: Config, say: Say) -> list[str]:
    """Create what is missing, mend what differs, number what is new; says and returns what it did.

    Two at once are safe: only the later one's numbers are written, the other starts over.

    Raises:
        Misconfigured: something differs that cannot be mended; says what to do.
        Away: Kafka or the registry does not answer.
    """
    registry = Registry.of(config)
    registry.ready_sync("control")
    admin = AdminClient(quiet(config.kafka.client()))
    done: list[str] = []

    def did(text: str) -> None:
        say(text)
        done.append(text)

    with translated():
        _mend(admin, config, Slots(), ("control",), did)
        for _ in range(_ROUNDS):
            if (why := _number(admin, config, registry, did)) is None:
                return done
            say(f"another `topics apply` came between, once more ({why})")
    raise Away(f"Kafka does not take the numbers of new spaces and accounts: {why}")


def verify(config: Config) -> list[str]:
    """What differs from the table; none = all is well."""
    admin = AdminClient(quiet(config.kafka.client()))
    with translated():
        found = _found(admin, config)
        if found.get("control") is None:
            return [f"{full(config.prefix, 'control')}: missing"]
        slots = Slots.read(config)
        unnumbered = [f"space {s}: no slot" for s in config.spaces if s not in slots.spaces]
        unnumbered += [f"account {a}: no slot" for a in config.accounts if a not in slots.accounts]
        return unnumbered + [each.text for each in _differences(config, slots, found)]


def describe(config: Config) -> list[dict[str, Any]]:
    """One row a topic: its logical and its real name, schema, partitions, replication, settings, exists."""
    admin = AdminClient(quiet(config.kafka.client()))
    with translated():
        found = _found(admin, config)
        slots = Slots.read(config) if found.get("control") else Slots()
    return [
        {
            "name": name,
            "topic": layout.name,
            "schema": TOPICS[name].schema,
            "partitioned": TOPICS[name].partitioned,
            "partitions": (found[name] or layout).partitions,
            "replication": (found[name] or layout).replication,
            "settings": {key: (found[name] or layout).settings.get(key) for key in layout.settings},
            "exists": found[name] is not None,
        }
        for name, layout in wanted(config, slots.count).items()
    ]


def _number(admin: AdminClient, config: Config, registry: Registry, did: Say) -> str | None:
    """Grow the topics for the new slots, then write their numbers; else says why it could not.

    One transactional id for all: whoever begins later fences the earlier, so what was read is still true
    when it is written.
    """
    producer = Producer(
        quiet(config.kafka.client())
        | {"transactional.id": full(config.prefix, "topics.apply"), "transaction.timeout.ms": 10_000}
    )
    producer.init_transactions(PATIENCE_S)
    known = Slots.of(read_control(config).values())
    slots = known.with_new(config.spaces, config.accounts)
    _mend(admin, config, slots, tuple(TOPICS), did)
    numbers = [("space", known.spaces, slots.spaces), ("account", known.accounts, slots.accounts)]
    new = [
        Control(kind, name, number, at=now_ms())
        for kind, before, after in numbers
        for name, number in after.items()
        if name not in before
    ]
    if not new:
        return None
    codec, topic, first = registry.codec("control"), full(config.prefix, "control"), FirstRecords()
    try:
        producer.begin_transaction()
        for fact in new:
            key, value = key_bytes(fact.kind, fact.name), codec.encode(asdict(fact))
            producer.produce(topic, value, key, on_delivery=first.delivered)
        first.settle(producer, PATIENCE_S)
        producer.commit_transaction(PATIENCE_S)
    except KafkaException as error:
        # whether it was fenced or the answer was lost: what is true now is read anew
        return str(error.args[0].str())
    for fact in new:
        did(f"{fact.kind} {fact.name}: slot {fact.number}")
    return None


def _mend(admin: AdminClient, config: Config, slots: Slots, names: Iterable[str], did: Say) -> None:
    """Make these topics as wanted and wait until the brokers show it."""
    names = tuple(names)
    deadline = time.monotonic() + PATIENCE_S
    asked: set[tuple[str, str]] = set()
    while todo := _differences(config, slots, _found(admin, config), names):
        if broken := [each.text for each in todo if not each.fixable]:
            raise Misconfigured("\n".join(broken))
        if time.monotonic() > deadline:
            raise Away(f"Kafka does not show the change: {todo[0].text}")
        fresh = [each for each in todo if (each.layout.name, each.text) not in asked]
        for each in fresh:
            did(_told(each))
        asked |= {(each.layout.name, each.text) for each in fresh}
        _change(admin, fresh)
        if not fresh:
            time.sleep(0.05)


def _told(difference: Difference) -> str:
    layout = difference.layout
    if difference.kind == "create":
        return f"{layout.name}: created, {layout.partitions} partitions"
    return difference.text.replace(" is ", " was ").replace(", not ", ", now ")


def _change(admin: AdminClient, todo: list[Difference]) -> None:
    by_kind: dict[str, dict[str, Layout]] = {}
    for each in todo:
        by_kind.setdefault(each.kind, {})[each.layout.name] = each.layout
    if create := by_kind.get("create"):
        new = [
            NewTopic(one.name, one.partitions, one.replication, config=dict(one.settings))
            for one in create.values()
        ]
        _await(admin.create_topics(new))
    if grow := by_kind.get("grow"):
        _await(admin.create_partitions([NewPartitions(one.name, one.partitions) for one in grow.values()]))
    if settings := by_kind.get("settings"):
        _await(admin.incremental_alter_configs([_resource(one) for one in settings.values()]))


def _resource(layout: Layout) -> ConfigResource:
    entries = [
        ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
        for key, value in layout.settings.items()
    ]
    return ConfigResource(ResourceType.TOPIC, layout.name, incremental_configs=entries)


def _await(futures: dict[Any, "Future[Any]"]) -> None:
    """All results; what another apply did already is done."""
    for future in futures.values():
        try:
            future.result(timeout=PATIENCE_S)
        except KafkaException as error:
            if error.args[0].code() not in (KafkaError.TOPIC_ALREADY_EXISTS, KafkaError.INVALID_PARTITIONS):
                raise


def _differences(
    config: Config, slots: Slots, found: dict[str, Layout | None], names: Iterable[str] = tuple(TOPICS)
) -> list[Difference]:
    """All of them. Slot topics are as wide as the widest is, since they must be equal and cannot shrink."""
    widths = [one.partitions for name, one in found.items() if one and TOPICS[name].partitioned == "slots"]
    layouts = wanted(config, max([slots.count, *widths]))
    return [each for name in names for each in differences(name, layouts[name], found[name])]


def _found(admin: AdminClient, config: Config) -> dict[str, Layout | None]:
    """Logical name → the topic as it is; None if there is none."""
    real = {name: full(config.prefix, name) for name in TOPICS}
    known = set(admin.list_topics(timeout=PATIENCE_S).topics) & set(real.values())
    if not known:
        return dict.fromkeys(real)
    described = admin.describe_topics(TopicCollection(sorted(known)), request_timeout=10)
    configs = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name) for name in sorted(known)])
    settings = {
        resource.name: {key: entry.value for key, entry in future.result(timeout=PATIENCE_S).items()}
        for resource, future in configs.items()
    }
    layouts: dict[str, Layout] = {}
    for name, future in described.items():
        partitions = future.result(timeout=PATIENCE_S).partitions
        layouts[name] = Layout(
            name, len(partitions), min(len(p.replicas) for p in partitions), settings[name]
        )
    return {name: layouts.get(topic) for name, topic in real.items()}
