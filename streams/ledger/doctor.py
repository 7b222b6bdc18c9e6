"""``streams doctor``: looks at everything the line stands on; the rules say what it means."""

import json
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from platform import python_version
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from confluent_kafka import KafkaException, Message, Producer, libversion
from confluent_kafka.admin import AdminClient

from streams import __version__
from streams.config import Config
from streams.config.model import Account
from streams.engine import admin, schemas
from streams.engine.control import TOPIC as CONTROL
from streams.engine.control import now_ms, read_control
from streams.engine.errors import Away, Misconfigured
from streams.engine.layout import wanted
from streams.engine.positions import Passed, positions
from streams.engine.reading import Place, Range, Reader, place_of, quiet, translated
from streams.engine.slots import Slots
from streams.engine.telemetry import PORTS
from streams.engine.topics import DAY_MS, INPUTS, full, group, inputs
from streams.klaviyo.revision import MEDIA_TYPE
from streams.ledger import account_rules, diagnosis
from streams.ledger.account_rules import Answer
from streams.ledger.dead_letters import TOPIC as DEAD_LETTERS
from streams.ledger.diagnosis import Waiting
from streams.ledger.findings import Finding, away, fail, ok
from streams.ledger.marks import Marks
from streams.ledger.span import span

PATIENCE_S: Final = 10.0
LOOK: Final = 200
"""Offsets to look at for the oldest record that waits: some of them hold transaction markers."""
MOST_PAGES: Final = 20
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')
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
        yield from _told(
            "topics", "run `streams topics apply`", lambda: diagnosis.topics(admin.verify(config))
        )
        for name, check in _of_kafka(config).items():
            yield from _told(name, f"look at the log of {config.kafka.bootstrap}", check)
    for account in config.accounts.values():
        yield from _account(config, account)


def _of_kafka(config: Config) -> dict[str, Check]:
    return {
        "clock": lambda: diagnosis.clock(_clock_offset_ms(config)),
        "lag": lambda: _stages(config),
        "lanes": lambda: diagnosis.pauses(read_control(config).values(), now_ms()),
        "dead_letters": lambda: _dead_letters(config),
    }


def _told(check: str, mend: str, probe: Check) -> Iterator[Finding]:
    """A check's findings; what can't be asked is one, too."""
    try:
        yield from probe()
    except Misconfigured as why:
        yield fail(check, str(why), mend)
    except (Away, OSError) as why:
        yield away(check, str(why), mend)


def _brokers(config: Config) -> Iterable[Finding]:
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
    first = _ask(account, "/api/accounts")
    yield from account_rules.key(name, first)
    if first.status in (0, 401):
        return
    found = {each: _list(account, each) for each in account_rules.named(config, name, "list")}
    yield from account_rules.lists(config, name, found)
    if metrics := account_rules.named(config, name, "metric"):
        last, known = _metrics(account)
        yield from account_rules.metrics(name, metrics, known, last)
    yield from account_rules.webhooks(account, _ask(account, "/api/webhooks"))


def _list(account: Account, wanted_list: str) -> Answer:
    by_name = _ask(account, "/api/lists", filter="equals(name," + json.dumps(wanted_list) + ")")
    if by_name.status != 200 or by_name.data:
        return by_name
    return _ask(account, f"/api/lists/{quote(wanted_list, safe='')}")


def _metrics(account: Account) -> tuple[Answer, set[str]]:
    """The last page's answer, and the names on all of them."""
    known: set[str] = set()
    answer = _ask(account, "/api/metrics")
    for _ in range(MOST_PAGES):
        known |= {str(each.get("attributes", {}).get("name")) for each in answer.data}
        onward = (answer.body.get("links") or {}).get("next")
        if not onward:
            break
        parts = urlsplit(onward)  # whatever host it names, the key goes to ours alone
        answer = _get(f"{account.klaviyo.url}{parts.path}?{parts.query}", account)
    return answer, known


def _ask(account: Account, path: str, **query: str) -> Answer:
    return _get(account.klaviyo.url + path + (f"?{urlencode(query)}" if query else ""), account)


def _get(address: str, account: Account) -> Answer:
    headers = {
        "Authorization": f"Klaviyo-API-Key {account.klaviyo.api_key.get_secret_value()}",
        "revision": account.revision,
        "Accept": MEDIA_TYPE,
    }
    try:
        status, content = _fetch(address, headers)
        body: Any = json.loads(content) if content else {}
    except (OSError, HTTPException) as why:
        return Answer(0, says=str(why))
    except ValueError:
        return Answer(0, says="with JSON")
    return Answer(status, body if isinstance(body, dict) else {})


def _weak(config: Config) -> dict[str, int]:
    """What the gateway counted of weak signatures; nothing where none runs here."""
    found = _counts(config, 0, "streams_gateway_weak_signatures_total") or []
    return {labels["source"]: count for labels, count in found}


def _new_profiles(config: Config, account: str) -> dict[str, int] | None:
    """New profiles of today as deliver counted them; None where it does not run here."""
    found = _counts(config, PORTS["deliver"], "streams_deliver_new_profiles_today")
    mine = [(labels, count) for labels, count in found or [] if labels["account"] == account]
    return {labels["said"]: count for labels, count in mine} or None


def _counts(config: Config, further: int, name: str) -> list[tuple[dict[str, str], int]] | None:
    """Labels and value of each count of that name, from the admin port so far behind the gateway's."""
    at = f"http://{config.gateway.host}:{config.gateway.admin_port + further}/metrics"
    try:
        _, content = _fetch(at, {})
    except (OSError, HTTPException):
        return None
    lines = content.decode(errors="replace").splitlines()
    found = [line.partition("{")[2].partition("} ") for line in lines if line.startswith(name + "{")]
    return [(dict(_LABEL.findall(labels)), int(float(count))) for labels, _, count in found]


def _fetch(address: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """GET: status and body, whatever the status. Raises OSError, HTTPException."""
    opener = build_opener(ProxyHandler({}), _Stay())
    try:
        with opener.open(Request(address, headers=headers), timeout=PATIENCE_S) as reply:
            return reply.status, reply.read()
    except HTTPError as refused:
        with refused:
            return refused.code, refused.read()


class _Stay(HTTPRedirectHandler):
    """A redirect is an answer: followed, it would carry the key elsewhere."""

    def redirect_request(self, *_: object) -> None:
        """Follow none."""
