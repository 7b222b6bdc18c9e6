"""Reading Klaviyo's pages of events for a look: their own budget, reserved before use as for every call."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from streams.deliver import receipts
from streams.deliver.budget import HORIZON_S, SLICE_S
from streams.deliver.calling import Right, within
from streams.deliver.desk import Desk
from streams.deliver.receipts import Look
from streams.engine.outbox import Outbox
from streams.engine.slot import Slot
from streams.engine.telemetry import log
from streams.klaviyo import receipts as api
from streams.klaviyo.replies import Accepted, Reply, Throttled, Transient
from streams.klaviyo.requests import Request

CALLS: Final = 8
"""Pages read at once."""
METRICS_S: Final = 3600.0
"""How long an answer about metrics counts; a metric that is not known is looked up at once."""
REST_S: Final = 1.0
AGAIN_S: Final = 2.0
FAILURES: Final = 5
"""So many turns without one answer end a look; it comes again from its beginning."""


class NotNow(Exception):
    """No look now: after so many seconds."""

    def __init__(self, wait_s: float) -> None:
        super().__init__()
        self.wait_s = wait_s


class Pages:
    """What one account shows.

    ``rests``: whether nothing should be asked now; ``refusal``: what is logged when Klaviyo will not be read.
    """

    def __init__(self, desk: Desk, slot: Slot, rests: Callable[[], bool], refusal: str) -> None:
        self._desk = desk
        self._slot = slot
        self._rests = rests
        self._refusal = refusal
        self._metrics: dict[str, list[str]] = {}
        self._metrics_at = float("-inf")
        self._failures = 0
        self.refused = False
        """Whether Klaviyo would not be read, when it was last asked."""

    async def see(self, named: Sequence[tuple[str, str, int]], pages: int) -> Look:
        """Look for events.

        Args:
            named: op id, metric and time (ms) of each.
            pages: so many may be read for each 1,000 of them.

        Raises:
            NotNow: the look did not come to its end.
        """
        await self._know_metrics({metric for _, metric, _ in named})
        look = Look.planned(receipts.windows(named), self._metrics, pages * -(-len(named) // api.PAGE))
        while windows := look.next(CALLS):
            answers = await self.ask(
                [api.find_events(each.metric_id, each.since_s, each.until_s, each.cursor) for each in windows]
            )
            for window, answer in reversed(list(zip(windows, answers, strict=True))):
                if answer is None:
                    look.put_back(window)
                else:
                    look.shown(window, api.op_ids(answer.data), answer.next)
        return look

    async def _know_metrics(self, names: set[str]) -> None:
        """Learn the ids of metrics: all are read, for none can be asked for by name."""
        now = self._desk.clock()
        if names <= self._metrics.keys() and now - self._metrics_at < METRICS_S:
            return
        found: dict[str, list[str]] = {}
        cursor: str | None = None
        while True:
            answer = (await self.ask([api.find_metrics(cursor)]))[0]
            if answer is None:
                continue
            for name, metric_id in api.metric_names(answer.data):
                found.setdefault(name, []).append(metric_id)
            if answer.next in (None, cursor):
                break
            cursor = answer.next
        self._metrics, self._metrics_at = found, now

    async def ask(self, requests: Sequence[Request]) -> list[Accepted | None]:
        """Reserve, write that down, then ask: as much as the budget allows now; None: ask that again.

        All requests share one budget.

        Raises:
            NotNow: after so many seconds.
        """
        if self._rests():
            raise NotNow(REST_S)
        desk = self._desk
        now = desk.clock()
        budget = desk.spending.budget(requests[0].budget)
        rights: list[Right] = []
        for request in requests:
            got = budget.reserve(now, desk.client.timeout_s(request.bulk))
            if got is None:
                break
            rights.append(Right(budget, got[0], got[1], now + SLICE_S))
        if not rights:
            await asyncio.sleep(min(REST_S, max(0.01, budget.next(now) - now - HORIZON_S / 2)))
            return [None] * len(requests)
        outbox = Outbox()
        outbox.put(*desk.spending.form(requests[0].budget, now, desk.now_ms()))
        await self._slot.commit(outbox)
        calls = (within(desk, request, right) for request, right in zip(requests, rights, strict=False))
        replies = await asyncio.gather(*calls)
        answers = [self._answer(reply, rights[0]) for reply in replies]
        if not any(answers) and any(replies):
            self._failures += 1
            if self._failures >= FAILURES:
                self._failures = 0
                raise NotNow(AGAIN_S)
            await asyncio.sleep(AGAIN_S * desk.random.random())
        elif any(answers):
            self._failures, self.refused = 0, False
        return [*answers, *[None] * (len(requests) - len(rights))]

    def _answer(self, reply: Reply | None, right: Right) -> Accepted | None:
        """What a page shows; None for a failure that passes."""
        desk = self._desk
        verdict = reply.verdict if reply is not None else None
        if isinstance(verdict, Throttled | Transient):
            right.budget.throttled(desk.clock(), verdict.retry_after)
        if verdict is None or isinstance(verdict, Throttled | Transient):
            return None
        if isinstance(verdict, Accepted):
            return verdict
        if not self.refused:
            why = getattr(verdict, "detail", "") or str(verdict)
            log.error(self._refusal, account=desk.account, why=why, probe_s=desk.probe_s)
        self.refused = True
        raise NotNow(desk.probe_s)
