"""Asking Klaviyo for engagement, in turns, where an account wants it so: beside the lanes, behind nothing.

A page's events, what is remembered of them and the cursor are one transaction. A turn that is cut off or
refused goes on where it was; what it sees twice within the overlap is not written twice.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Final

import orjson

from streams.deliver import records
from streams.deliver.desk import Desk, Encode
from streams.deliver.reading import polled
from streams.deliver.reading.pages import NotNow, Pages
from streams.engine.outbox import Outbox
from streams.engine.slot import Slot
from streams.engine.telemetry import counter
from streams.klaviyo import polling as api
from streams.klaviyo.engagement import Delivery, read
from streams.klaviyo.polling import Item, Metric
from streams.klaviyo.replies import Accepted
from streams.klaviyo.requests import Request
from streams.ledger.reasons import Reason
from streams.segment.refusal import Refusal

TOPIC: Final = "klaviyo.engagement"
LANE: Final = "segment"
"""While it is paused nothing is asked for: it is all still there later."""
LARGEST: Final = 1_800_000
"""Bytes of one event that the line's records can hold."""
FORGOTTEN: Final = 2000
"""Marks removed with one page."""
_COUNT = counter("streams_polled", "Engagement events read by polling, by what was seen of them.")


@dataclass(frozen=True, slots=True)
class Settings:
    """What to ask for, by topics' patterns, how far apart, and the partition (the space's) it goes to."""

    every_s: float
    forward: tuple[str, ...]
    partition: int
    encode: Encode


class Poll:
    """The turns of one account. Runs until cancelled or stopped."""

    def __init__(self, desk: Desk, slot: Slot, settings: Settings) -> None:
        self._desk = desk
        self._slot = slot
        self._settings = settings
        self._stopped = asyncio.Event()
        self._names = Pages(desk, slot, self._rests, "poll_refused")
        self._events = Pages(desk, slot, self._rests, "poll_refused")

    def stop(self) -> None:
        """Begin nothing more."""
        self._stopped.set()

    def _rests(self) -> bool:
        return self._stopped.is_set() or self._desk.paused(LANE) is not None

    async def run(self) -> None:
        """Take turns, until stopped.

        Raises:
            Fenced, Away: from a commit.
        """
        while not self._stopped.is_set():
            wait_s = await self._turn()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), wait_s)

    async def _turn(self) -> float:
        """Ask for all metrics once; seconds until the next turn."""
        every_s = self._settings.every_s
        began_s = self._now_s()
        key = polled.cursor_key()
        if self._slot.store.get(key) is None:  # the first one: no history, but for the overlap
            await self._put(key, began_s)
        try:
            for metric in await self._metrics():
                await self._read(metric)
        except NotNow as later:
            refused = self._names.refused or self._events.refused
            return max(every_s, later.wait_s) if refused else later.wait_s
        await self._put(key, began_s)
        return every_s

    async def _metrics(self) -> list[Metric]:
        found: list[Metric] = []
        cursor: str | None = None
        while True:
            answer = await _answer(self._names, api.find_metrics, cursor)
            found += api.wanted(answer.data, self._settings.forward)
            if answer.next in (None, cursor):
                return found
            cursor = answer.next

    async def _read(self, metric: Metric) -> None:
        """One metric's events since its cursor, page by page."""
        store, key = self._slot.store, polled.cursor_key(metric.id)
        at_s = polled.since(store.get(key), store.get(polled.cursor_key()), self._now_s())
        since_s = max(0, at_s - polled.OVERLAP_S)

        def page(cursor: str | None) -> Request:
            return api.find_events(metric.id, since_s, cursor)

        cursor: str | None = None
        while True:
            answer = await _answer(self._events, page, cursor)
            found = api.items(answer.data, answer.included, metric.topic, since_s)
            at_s = await self._write(metric, found, at_s)
            if answer.next in (None, cursor):
                return
            cursor = answer.next

    async def _write(self, metric: Metric, found: list[Item], at_s: int) -> int:
        """One transaction: what is new on a page, and how far it reached; the cursor."""
        store, outbox = self._slot.store, Outbox()
        by_key = {polled.taken_key(metric.id, item): item for item in found}
        taken = store.get_many(list(by_key))
        new = {key: item for (key, item), had in zip(by_key.items(), taken, strict=True) if had is None}
        for key, item in new.items():
            self._take(outbox, item)
            outbox.put(key, b"")
        moved = polled.moved(at_s, found, self._now_s())
        if moved > at_s:
            outbox.put(polled.cursor_key(metric.id), polled.cursor_form(moved))
        marks = store.scan(polled.taken_keys(metric.id))
        for key in islice(polled.past(marks, metric.id, moved), FORGOTTEN):
            outbox.delete(key)
        if outbox.changes:
            await self._slot.commit(outbox)
        for seen, count in (("new", len(new)), ("again", len(found) - len(new))):
            if count:
                _COUNT.add(count, {"account": self._desk.account, "seen": seen})
        return moved

    def _take(self, outbox: Outbox, item: Item) -> None:
        """Write an event as the gateway writes a webhook's."""
        desk = self._desk
        body, now_ms = orjson.dumps(item.value), desk.now_ms()
        made = read(item.value, body, Delivery(desk.account, desk.space, now_ms))
        if len(body) > LARGEST:
            says = f"the event has {len(body)} bytes, the most is {LARGEST}"
            made, body = Refusal(Reason.TOO_LARGE, says, item.event_id), b""
        if isinstance(made, Refusal):
            outbox.dead_letter(
                desk.dead_letter(records.unpolled(made, body, desk.account, desk.space, now_ms))
            )
            return
        identifier, engagement = made
        key = f"{desk.space}\0{identifier}".encode()
        outbox.send(TOPIC, self._settings.partition, key, self._settings.encode(engagement))

    async def _put(self, key: bytes, at_s: int) -> None:
        outbox = Outbox()
        outbox.put(key, polled.cursor_form(at_s))
        await self._slot.commit(outbox)

    def _now_s(self) -> int:
        return self._desk.now_ms() // 1000


async def _answer(pages: Pages, page: Callable[[str | None], Request], cursor: str | None) -> Accepted:
    """The page at a cursor, asked for until it is answered. Raises NotNow."""
    while True:
        answer = (await pages.ask([page(cursor)]))[0]
        if answer is not None:
            return answer
