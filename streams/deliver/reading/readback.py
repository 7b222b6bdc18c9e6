"""Looking for accepted events at Klaviyo: behind the sending, with a budget of its own, through restarts.

All that lasts is the receipts. A look that is cut off, fails or is throttled has not been: it comes again.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from streams.deliver import notices, receipts, records
from streams.deliver.desk import Desk
from streams.deliver.reading.pages import NotNow, Pages
from streams.deliver.reading.rereads import Learn, Rereads
from streams.deliver.receipts import Receipt, Seen
from streams.deliver.row import Row, Settled
from streams.deliver.sending.sender import Sender
from streams.engine.outbox import Outbox
from streams.engine.slot import Slot
from streams.engine.telemetry import counter, log
from streams.ledger.reasons import Outcome, Reason

ROWS: Final = 5000
"""Rows looked for at a time; a receipt has at most 1,000. Without their payloads about 2 KB each."""
WRITTEN: Final = 1000
"""Outcomes in one transaction, no more than live sending writes: it is not kept waiting."""
OUT: Final = 20
"""Rows under way that are sent once more."""
POLL_S: Final = 1.0
RESCAN_S: Final = 3600.0
BACK_MS: Final = 120_000
"""A receipt may be written so long after it became due: its call took long."""
REFUSED_MS: Final = 86_400_000
"""While Klaviyo refuses to be read, receipts older than this are dropped: what they name stays accepted."""
_COUNT = counter("streams_receipts", "Events read back after a 202, by what was seen of them.")


@dataclass(frozen=True, slots=True)
class Settings:
    """How to look: first after ``after_ms``, then again as long after; ``pages`` for each 1,000 events."""

    after_ms: int
    pages: int
    learn: Learn = lambda _: None


@dataclass(slots=True)
class _Due:
    """A receipt that is due, and its rows."""

    key: bytes
    receipt: Receipt
    rows: list[Row]


class ReadBack:
    """The looks of one account. Runs until cancelled or stopped."""

    def __init__(self, desk: Desk, slot: Slot, events: Sender, settings: Settings) -> None:
        self._desk = desk
        self._slot = slot
        self._events = events
        self._settings = settings
        self._rereads = Rereads(desk, slot, settings.learn)
        self._start = b""
        self._started = desk.clock()
        self._out: set[bytes] = set()
        self._stopped = asyncio.Event()
        self._pages = Pages(desk, slot, self._rests, "readback_refused")

    def stop(self) -> None:
        """Begin nothing more."""
        self._stopped.set()

    def _rests(self) -> bool:
        return self._stopped.is_set() or self._events.rests

    async def run(self) -> None:
        """Look for what is due, until stopped.

        Raises:
            Fenced, Away: from a commit.
        """
        try:
            while not self._stopped.is_set():
                wait_s = await self._turn()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopped.wait(), wait_s)
        finally:
            await self._rereads.close()

    async def _turn(self) -> float:
        """One look, if something is due; seconds until the next turn."""
        if self._rests():
            return POLL_S
        try:
            await self._send_lost()
            due = self._due()
            if due:
                await self._look(due)
                return 0.0
        except NotNow as later:
            return later.wait_s
        await self._rereads.rest()
        return min(POLL_S, self._settings.after_ms / 4000)

    def _due(self) -> list[_Due]:
        """Receipts whose time has come, oldest first, for so many rows."""
        now, now_ms = self._desk.clock(), self._desk.now_ms()
        if now - self._started > RESCAN_S:  # what a wall clock set back has put before the start
            self._start, self._started = b"", now
        found: list[_Due] = []
        count = 0
        for key, value in self._slot.store.scan(receipts.AWAITED, self._start):
            if receipts.due_ms(key) > now_ms or count >= ROWS:
                break
            found.append(_Due(key, receipts.read(value), []))
            count += found[-1].receipt.count
        return found

    async def _look(self, due: list[_Due]) -> None:
        """One look for the rows of some receipts: their rows again, Klaviyo's pages, then what was seen."""
        if self._pages.refused:
            due = await self._without_old(due)
        named = await self._rows(due)
        look = await self._pages.see(named, self._settings.pages)
        turn: list[tuple[_Due, Seen]] = []
        for each in due:
            turn.append((each, receipts.seen(each.rows, each.receipt.looks, look)))
            if sum(len(done.rows) for done, _ in turn) >= WRITTEN:
                await self._write(turn)
                turn = []
        await self._write(turn)
        if due:
            self._start = receipts.first_key(receipts.due_ms(due[-1].key) - BACK_MS)

    async def _without_old(self, due: list[_Due]) -> list[_Due]:
        """Without receipts that Klaviyo refused to show for too long."""
        oldest = self._desk.now_ms() - REFUSED_MS
        old = [each for each in due if each.receipt.at_ms < oldest]
        if old:
            outbox = Outbox()
            for each in old:
                outbox.delete(each.key)
            await self._slot.commit(outbox)
            count = sum(each.receipt.count for each in old)
            log.info("receipts_dropped", account=self._desk.account, count=count)
            self._count("refused", count)
        return [each for each in due if each not in old]

    async def _rows(self, due: list[_Due]) -> list[tuple[str, str, int]]:
        """Read the receipts' operations again: op id, metric and time of each."""
        wanted: dict[str, list[list[int]]] = {}
        holder: dict[tuple[str, int], _Due] = {}
        for each in due:
            for topic, runs in each.receipt.rows.items():
                wanted.setdefault(topic, []).extend(runs)
                holder |= {(topic, at): each for start, end in runs for at in range(start, end)}
        named: list[tuple[str, str, int]] = []

        def keep(row: Row) -> None:
            each = holder.pop((row.topic, row.offset), None)
            if each is None:
                return
            op = row.op
            named.append((op["op_id"], orjson.loads(op["payload"])["metric"], op["time"]))
            into = each.receipt.into.get(receipts.place(row.topic, row.offset))
            op["payload"] = b""  # only what an outcome needs stays in memory
            each.rows.append(Row(row.topic, row.offset, row.offset, op, b"", into=into))

        await self._rereads.read(wanted, keep)
        self._gone(len(holder))
        return named

    async def _write(self, turn: Sequence[tuple[_Due, Seen]]) -> None:
        """One transaction: the receipts are over, and what follows from them stands."""
        if not turn:
            return
        outbox, desk = Outbox(), self._desk
        now_ms = desk.now_ms()
        counts = dict.fromkeys(("confirmed", "missed", "lost", "unconfirmed", "beyond"), 0)
        for each, seen in turn:
            outbox.delete(each.key)
            for rows, reason in ((seen.confirmed, Reason.CONFIRMED), (seen.unconfirmed, Reason.UNCONFIRMED)):
                for row in rows:
                    end = Settled(row, Outcome.DELIVERED, reason)
                    outbox.outcome(desk.outcome(records.outcome(end, now_ms)))
            if seen.later:
                name, at_ms = receipts.name_of(each.key), each.receipt.at_ms
                due = now_ms + self._settings.after_ms
                outbox.put(*receipts.write(seen.later, name, each.receipt.looks + 1, at_ms, due))
            for row in seen.lost:
                outbox.put(receipts.lost_key(row.topic, row.offset), receipts.lost_form(row))
            counts["confirmed"] += len(seen.confirmed)
            counts["missed"] += len(seen.later)
            counts["lost"] += len(seen.lost)
            counts["unconfirmed"] += len(seen.unconfirmed)
            counts["beyond"] += len(seen.beyond)
        await self._slot.commit(outbox)
        for what, count in counts.items():
            self._count(what, count)
        self._tell(counts)

    def _tell(self, counts: dict[str, int]) -> None:
        account = self._desk.account
        if counts["lost"]:
            log.warning("receipts_lost", account=account, count=counts["lost"], looks=receipts.LOOKS)
        if counts["unconfirmed"]:
            log.error("receipts_unconfirmed", account=account, count=counts["unconfirmed"])
        if counts["beyond"]:
            log.info("receipts_beyond_cap", account=account, count=counts["beyond"])

    async def _send_lost(self) -> None:
        """Hand rows that are lost to their lane, a few at a time; the state forgets each as it ends."""
        store = self._slot.store
        self._out = {key for key in self._out if store.get(key) is not None}
        into: dict[tuple[str, int], Any] = {}
        wanted: dict[str, list[list[int]]] = {}
        for key, value in store.scan(receipts.LOST):
            if len(self._out) + len(into) >= OUT:
                break
            if key not in self._out and store.get(key) is not None:  # it may just have been settled
                topic, offset = receipts.lost_place(key)
                into[(topic, offset)] = orjson.loads(value)
                wanted.setdefault(topic, []).append([offset, offset + 1])
        if not into:
            return
        rows: list[Row] = []
        await self._rereads.read(wanted, rows.append)
        outbox = Outbox()
        for row in rows:
            row.into = into.pop((row.topic, row.offset))
            if notices.erased(row, self._events.read):
                end = Settled(row, Outcome.REFUSED, Reason.ERASED)
                outbox.outcome(self._desk.outcome(records.outcome(end, self._desk.now_ms())))
                outbox.delete(receipts.lost_key(row.topic, row.offset))
                continue
            if row.into is not None:  # the body as it was: whoever it addressed then
                row.op, row.into = {**row.op, "profile": row.into}, None
            self._out.add(receipts.lost_key(row.topic, row.offset))
            self._events.again(row)
        for topic, offset in into:  # retention took the record
            outbox.delete(receipts.lost_key(topic, offset))
        self._gone(len(into))
        if outbox.changes:
            await self._slot.commit(outbox)
        self._count("resent", len(rows))

    def _gone(self, count: int) -> None:
        """Retention took records: nothing can be known of them, nor sent."""
        if count:
            log.warning("receipts_without_records", account=self._desk.account, count=count)
        self._count("gone", count)

    def _count(self, what: str, count: int) -> None:
        if count:
            _COUNT.add(count, {"account": self._desk.account, "seen": what})
