"""A call within its right to be sent."""

import asyncio
from dataclasses import dataclass

from streams.deliver.budget import Budget
from streams.deliver.desk import Desk
from streams.klaviyo.replies import Reply
from streams.klaviyo.requests import Request


@dataclass(slots=True)
class Right:
    """Room in a budget: ``number`` is its own, ``at`` and ``valid_until`` are the monotonic clock's."""

    budget: Budget
    number: int
    at: float
    valid_until: float = 0.0


async def within(desk: Desk, request: Request, right: Right) -> Reply | None:
    """Send at the given time, if the right still holds then, and count the answer; None: nothing was sent."""
    budget = right.budget
    await asyncio.sleep(max(0.0, right.at - desk.clock()))
    reply = None
    if not budget.withheld(desk.clock()):
        reply = await desk.client.call(request, right.valid_until)
    now = desk.clock()
    if reply is None:
        budget.unsent(right.number)
    else:
        budget.replied(right.number, now)
        if reply.window:
            budget.obey(reply.window, now)
    return reply
