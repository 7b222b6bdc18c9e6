"""Records made beforehand, and put into topics as fast as the broker takes them."""

import random
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from confluent_kafka import Producer

from streams.config import Config
from streams.engine.codec import Codec
from streams.engine.partition import partition_of
from streams.segment.envelope import Envelope, event_uid, typed_identifier

BODY_BYTES: Final = 1_000
SEED: Final = 20260801
REPEATED: Final = 0.1
SECOND_DEVICE: Final = 0.05
CHUNK: Final = 5_000

Row = tuple[int, bytes, bytes]
"""Partition, key, value without its frame."""


def _body(number: int, chance: random.Random) -> bytes:
    text = (
        f'{{"type":"track","event":"Order Completed","messageId":"m{number}","userId":"u","properties":'
        f'{{"order_id":"o{number}","total":{chance.randrange(10_000) / 100},"currency":"EUR","products":'
        f'[{{"product_id":"p{chance.randrange(999)}","name":"Shirt","price":19.5,"quantity":1}}],"note":"'
    )
    filling = f"{chance.getrandbits(1600):x}" * 3
    return (text + filling)[: BODY_BYTES - 3].encode() + b'"}}'


def zipf_people(people: int, chance: random.Random, count: int) -> list[int]:
    """People as often as their rank says: the first ten are a quarter of it."""
    weights = [1 / (rank + 1) for rank in range(people)]
    return chance.choices(range(people), weights, k=count)


def envelopes(count: int, spaces: int, people: int = 50_000) -> Iterator[Envelope]:
    """Events of Zipf-distributed people, each shown by user id, address or both; the same every time."""
    chance = random.Random(SEED)
    now = int(time.time() * 1000)
    for number, who in enumerate(zipf_people(people, chance, count)):
        shows = chance.random()
        user_id = f"u{who}" if shows < 0.8 else ""
        email = f"person{who}@shop{who % 7}.example" if shows > 0.6 else ""
        anonymous_id = f"a{who}-{int(chance.random() < SECOND_DEVICE)}"
        space = f"s{who % spaces}"
        body = _body(number, chance)
        identifier = typed_identifier(user_id, anonymous_id, email, None) or ""
        yield Envelope(
            uid=event_uid(space, identifier, f"m{number}", body),
            space=space,
            accepted_at=now + number // 10,
            event_id=f"m{number}",
            type="track",
            name="Order Completed",
            user_id=user_id,
            anonymous_id=anonymous_id,
            email=email,
            phone="",
            country="",
            previous_id="",
            time=now + number // 10,
            source="web",
            trace_id="t",
            body=body,
        )


def keyed(event: Envelope, partitions: int) -> tuple[int, bytes]:
    """Where the gateway puts it."""
    identifier = typed_identifier(event["user_id"], event["anonymous_id"], event["email"], None)
    key = f"{event['space']}\0{identifier}".encode()
    return partition_of(key, partitions), key


def accepted(codec: Codec, count: int, spaces: int, partitions: int) -> list[Row]:
    """``segment.events`` of so many records, a tenth of them delivered twice."""
    chance = random.Random(SEED)
    unique = count - int(count * REPEATED)
    rows: list[Row] = []
    for event in envelopes(unique, spaces):
        partition, key = keyed(event, partitions)
        rows.append((partition, key, codec.encode(event)[5:]))
    for row in chance.sample(rows, count - unique):
        rows.insert(chance.randrange(len(rows)), row)
    return rows


def fill(config: Config, topic: str, frame: bytes, rows: Sequence[Row]) -> None:
    """Write rows to a topic, each behind its frame."""
    settings = {"acks": "all", "linger.ms": 20, "compression.type": "lz4", "batch.size": 1 << 20}
    limits = {"queue.buffering.max.messages": 1_000_000, "queue.buffering.max.kbytes": 1 << 20}
    producer = Producer(config.kafka.client() | settings | limits)
    for at in range(0, len(rows), CHUNK):
        batch = _messages(rows[at : at + CHUNK], frame)
        while producer.produce_batch(topic, batch) < len(batch):
            batch = [message for message in batch if message.pop("_error", None)]
            producer.poll(0.2)
        producer.poll(0)
    left = producer.flush(60)
    if left:
        raise RuntimeError(f"{left} records were not taken by the broker")


def _messages(rows: Iterable[Row], frame: bytes) -> list[dict[str, Any]]:
    return [{"partition": p, "key": key, "value": frame + value} for p, key, value in rows]
