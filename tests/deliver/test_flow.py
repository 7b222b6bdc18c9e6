"""How much waits in memory: rows weigh what they take, and reading stops when too much waits."""

from time import time
from typing import Any

import orjson

from streams.deliver.desk import Desk
from streams.deliver.events import Events
from streams.deliver.intent import Doubts
from streams.deliver.profiles.jobs import Jobs
from streams.deliver.sending.intake import Intake
from streams.deliver.sending.lane import LIVE_BYTES, Lane
from streams.deliver.spending import Spending
from streams.klaviyo.client import Client
from tests.deliver.fake_slot import FakeSlot, LogRecord, World, codec
from tests.deliver.line import WIDE, operation

TOPIC = "klaviyo.events"
HEAVY = 200_000


def intake() -> Intake:
    client = Client("http://127.0.0.1:1", "k", timeout_s=1, bulk_timeout_s=1)
    encode = codec("outcome").encode
    decode = codec("operation").decode
    desk = Desk("acme", "acme", client, Spending(WIDE), decode, encode, encode, lambda lane: None)
    found = Intake(desk, Events(), FakeSlot(World()), Lane())  # type: ignore[arg-type]
    found.restore([TOPIC])
    return found


def heavy(start: int, count: int) -> list[Any]:
    payload = {"metric": "Viewed", "properties": {f"p{n}": "x" * 50_000 for n in range(HEAVY // 50_000)}}
    encode = codec("operation").encode
    return [LogRecord(n, None, encode(operation(n, payload=payload))) for n in range(start, start + count)]


def full(found: Intake) -> bool:
    found.flow()
    return TOPIC in found.full


def test_reading_stops_when_too_much_waits() -> None:
    found = intake()
    rows = LIVE_BYTES // (3 * HEAVY)
    found.take(TOPIC, heavy(0, rows // 2))
    assert not full(found)
    found.take(TOPIC, heavy(rows // 2, rows))
    assert full(found)


def test_reading_goes_on_until_all_rows_in_doubt_are_known() -> None:
    """Until then every profile counts as busy: nothing would leave, and room would never be made."""
    found = intake()
    rows = LIVE_BYTES // (3 * HEAVY) + 10
    intent = {"at": int(time() * 1000), "lasts": 0.1, "rows": {TOPIC: [[rows, rows + 1]]}}
    found.doubts = Doubts.restored([(b"i/events/1", orjson.dumps(intent))], 0.0, intent["at"])  # type: ignore[arg-type]
    found.take(TOPIC, heavy(0, rows))
    assert not full(found)
    found.take(TOPIC, heavy(rows, 1))
    assert full(found)


def test_reading_goes_on_until_an_open_job_has_all_its_rows() -> None:
    found = intake()
    rows = LIVE_BYTES // (3 * HEAVY) + 10
    job = {"at": 0, "rows": {TOPIC: [[rows, rows + 1]]}, "who": [f"p{rows}"]}
    found.jobs = Jobs.restored([(b"j/events/1", orjson.dumps(job))])
    found.take(TOPIC, heavy(0, rows))
    assert not full(found)
    found.take(TOPIC, heavy(rows, 1))
    assert full(found)
