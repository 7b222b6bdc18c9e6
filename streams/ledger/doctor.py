"""``streams doctor``: looks at everything the line stands on; the rules say what it means."""

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from platform import python_version
from typing import Final

from confluent_kafka import KafkaException, Message, Producer, libversion
from confluent_kafka.admin import AdminClient

from streams import __version__
from streams.config import Config
from streams.config.model import Account
from streams.engine import admin, lanes, schemas
from streams.engine.control import TOPIC as CONTROL
from streams.engine.control import now_ms, read_control
from streams.engine.errors import Away, Misconfigured
from streams.engine.layout import wanted
from streams.engine.positions import Passed, positions
from streams.engine.reach import reach
from streams.engine.reading import Place, Range, Reader, place_of, quiet, translated
from streams.engine.slots import Slots
from streams.engine.telemetry import PORTS
from streams.engine.topics import DAY_MS, INPUTS, full, group, inputs
from streams.ledger import account_rules, asking, diagnosis, scopes
from streams.ledger.asking import PATIENCE_S
from streams.ledger.dead_letters import TOPIC as DEAD_LETTERS
from streams.ledger.diagnosis import Waiting
from streams.ledger.findings import Finding, away, fail, ok
from streams.ledger.marks import Marks
from streams.ledger.span import span

LOOK: Final = 200
"""Offsets to look at for the oldest record that waits: some of them hold transaction markers."""
Check = Callable[[], Iterable[Finding]]


def examine(config: Config) -> Iterator[Finding]:
    """All checks, each finding as soon as it is known; what does not answer is a finding, too."""
    yield ok("versions", f"streams {__version__}, Python {python_version()}, librdkafka {libversion()[0]}")
    yield from account_rules.sources(config.sources.values(), _weak(config))
    yield from _told("disk", "look at the machine", lambda: _disk(config))
    broker = list(_told("brokers", f"start Kafka at {config.kafka.bootstrap}", lambda: _brokers(config)))
    yield from broker
    registry = f"start the registry at {config.registry.url}"
    yield from _told("schemas", registry, lambda: diagnosis.schemas(schemas.check(config)))
    if not any(each.level == "away" for each in broker):
        apply = "run `streams topics apply`"
        topics = list(_told("topics", apply, lambda: diagnosis.topics(admin.verify(config)), registry))
        yield from topics
        begun = f"{full(config.prefix, CONTROL)}: missing" not in (each.says for each in topics)
        for name, check in _of_kafka(config).items() if begun else ():
            yield from _told(name, f"look at the log of {config.kafka.bootstrap}", check, registry)
    yield from account_rules.unknown_fields(_unknown_fields(config))
    for account in config.accounts.values():
        yield from _account(config, account)


def _of_kafka(config: Config) -> dict[str, Check]:
    return {
        "clock": lambda: diagnosis.clock(_clock_offset_ms(config)),
        "lag": lambda: _stages(config),
        "lanes": lambda: diagnosis.lanes(lanes.listing(config), now_ms()),
        "dead_letters": lambda: _dead_letters(config),
    }


def _told(check: str, mend: str, probe: Check, registry: str = "") -> Iterator[Finding]:
    """Findings of a check; what can't be asked is one, too. ``registry``: the mend where that one is away."""
    try:
        yield from probe()
    except Misconfigured as why:
        says, _, do = str(why).partition(": run ")
        yield fail(check, says, f"run {do}" if do else mend)
    except (Away, OSError) as why:
        yield away(check, str(why), registry if registry and str(why).startswith("registry") else mend)


def _brokers(config: Config) -> Iterable[Finding]:
    reach(config.kafka.client())
    with translated():
        found = AdminClient(quiet(config.kafka.client())).list_topics(timeout=PATIENCE_S)
    return diagnosis.brokers(config, len(found.brokers))


def _disk(config: Config) -> Iterable[Finding]:
    folder = config.data.absolute()
    standing = next(each for each in (folder, *folder.parents) if each.exists())
    usage = shutil.disk_usage(standing)
    return diagnosis.disk(str(Path(config.data)), usage.free, usage.total)


def _clock_offset_ms(config: Config) -> float:
    """This clock less the broker's, by when it says that a record came; without value it says nothing."""
    stamped: list[int] = []

    def kept(error: object, message: Message) -> None:
        if error is None:
            stamped.append(message.timestamp()[1])

    with translated():
        producer = Producer(quiet(config.kafka.client()) | {"acks": "all"})
        for _ in range(2):  # the first one pays for connecting
            before = time.time()
            producer.produce(full(config.prefix, CONTROL), key=b"doctor/clock", on_delivery=kept)
            producer.flush(PATIENCE_S)
            after = time.time()
    if len(stamped) < 2:
        raise Away("Kafka did not take a record")
    return (before + after) * 500 - stamped[-1]


def _stages(config: Config) -> Iterable[Finding]:
    """How much waits before each stage, since when, and whether anybody works there."""
    slots = Slots.of(read_control(config).values())
    waiting = list(_waiting(config, slots))
    yield from diagnosis.lags(waiting, {number: name for name, number in slots.accounts.items()})
    waits: Counter[str] = Counter()
    for each in waiting:
        waits[each.stage] += each.lag
    yield from diagnosis.groups(_members(config), waits)


def _waiting(config: Config, slots: Slots) -> Iterator[Waiting]:
    reader = Reader(config.kafka.client())
    layouts = wanted(config, slots.count)
    for stage in INPUTS:
        passed = positions(reader, config.prefix, stage)
        for name in inputs(stage):
            places = reader.places([full(config.prefix, name)])
            starts, ends = reader.starts(places), reader.stable(places)
            done = {p: passed.get(p[1], {}).get(name, Passed(starts[p])) for p in places}
            first = {p: max(starts[p], done[p].next) for p in places if done[p].open(ends[p])}
            ages = _ages(reader, first, ends)
            kept = layouts[name].settings.get("retention.ms")
            for place in ages:
                lag = done[place].open(ends[place])
                yield Waiting(stage, name, place[1], lag, ages[place], int(kept) if kept else None)


def _ages(reader: Reader, first: dict[Place, int], ends: dict[Place, int]) -> dict[Place, int]:
    """Place → age in ms of the oldest record that waits; without those where only markers do."""
    ranges = [Range(*p, start, min(start + LOOK, ends[p])) for p, start in first.items()]
    came: dict[Place, int] = {}
    for batch in reader.read(ranges):
        for message in batch:
            came.setdefault(place_of(message)[0], message.timestamp()[1])
    now = now_ms()
    return {place: max(0, now - at) for place, at in came.items()}


def _members(config: Config) -> dict[str, int]:
    with translated():
        client = AdminClient(quiet(config.kafka.client()))
        names = {group(config.prefix, stage): stage for stage in INPUTS}
        asked = client.describe_consumer_groups(list(names), request_timeout=PATIENCE_S)
        found: dict[str, int] = {}
        for name, future in asked.items():
            try:
                found[names[name]] = len(future.result(timeout=PATIENCE_S).members)
            except KafkaException:
                found[names[name]] = 0  # newer brokers say so of a group that never was
        return found


def _dead_letters(config: Config) -> Iterable[Finding]:
    marks = Marks.of(read_control(config).values())
    reasons: Counter[str] = Counter()
    total = 0
    for message, letter in span(config, DEAD_LETTERS, now_ms() - DAY_MS):
        (_, partition), offset = place_of(message)
        total += 1
        if marks.find((partition, offset)) is None:
            reasons[letter["reason"].partition(":")[0]] += 1
    return diagnosis.dead_letters(reasons, total)


def _account(config: Config, account: Account) -> Iterator[Finding]:
    name = account.name
    yield from account_rules.new_profiles(account, _new_profiles(config, name))
    yield from account_rules.revision(account, datetime.now(UTC).date())
    first = asking.ask(account, "/api/accounts")
    yield from account_rules.key(name, first)
    if first.ahead_ms is not None:
        yield from diagnosis.clock(first.ahead_ms, f"Klaviyo's (account {name})")
    if first.status in (0, 401):
        return
    needs = scopes.needed(config, account)
    probes = {
        each: asking.ask(account, path, **query)
        for each, (path, query) in scopes.PROBES.items()
        if each in needs
    }
    yield from scopes.scopes(name, needs, probes)
    refused = {scope for scope, answer in probes.items() if answer.status == 403}
    if "lists:read" not in refused:
        named = account_rules.named(config, name, "list")
        yield from account_rules.lists(
            config, name, {each: asking.find_list(account, each) for each in named}
        )
    if "metrics:read" not in refused and (metrics := account_rules.named(config, name, "metric")):
        last, known = asking.find_metrics(account)
        yield from account_rules.metrics(name, metrics, known, last)
    hooks = asking.ask(account, "/api/webhooks", include="webhook-topics")
    told = config.engagement
    own = "forward" in told.model_fields_set
    yield from account_rules.webhooks(account, hooks, told.forward, named=own)


def _weak(config: Config) -> dict[str, int]:
    """What the gateway counted of weak signatures; nothing where none runs here."""
    found = asking.counts(config, 0, "streams_gateway_weak_signatures_total") or []
    return {labels["source"]: count for labels, count in found}


def _unknown_fields(config: Config) -> dict[tuple[str, str], int]:
    """Fields of answers that deliver did not know, by endpoint; nothing where none runs here."""
    found = asking.counts(config, PORTS["deliver"], "streams_klaviyo_unknown_fields_total") or []
    return {(labels["endpoint"], labels["field"]): count for labels, count in found}


def _new_profiles(config: Config, account: str) -> dict[str, int] | None:
    """New profiles of today as deliver counted them; None where it does not run here."""
    found = asking.counts(config, PORTS["deliver"], "streams_deliver_new_profiles_today")
    mine = [(labels, count) for labels, count in found or [] if labels["account"] == account]
    return {labels["said"]: count for labels, count in mine} or None
