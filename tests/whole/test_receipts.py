"""A 202 is not a receipt: what Klaviyo loses after it is found and mended, and the audit says so."""

import json

import pytest

from tests.line import eventually
from tests.whole.conftest import Start
from tests.whole.messages import message
from tests.whole.running import PIPELINE, Whole

pytestmark = pytest.mark.stack

SOON = PIPELINE.replace("deliver: {probe_s: 2}", "deliver: {probe_s: 2, readback_minutes: 0.06}")
"""Looks 3.6 s apart: what is lost is sent once more after three, and by then it has to be taken."""
ORDERS = 400


def orders(line: Whole, first: int) -> None:
    line.send(
        message("track", n, userId=f"p{n % 50}", event="Order Completed", properties={"orderId": str(n)})
        for n in range(first, first + ORDERS)
    )


def test_losses_after_a_202_are_found_and_mended_through_a_kill_and_what_never_shows_is_named(
    start: Start,
) -> None:
    line = start(SOON)
    line.send(message("identify", n, userId=f"p{n}", traits={"email": f"p{n}@shop.io"}) for n in range(50))
    orders(line, 0)
    line.idle()
    dropping = line.fault({"drop_after_202": True}, rate=1.0, path="/api/event*", method="POST")
    orders(line, ORDERS)
    assert line.idle()["delivered"] == 2 * ORDERS + 50
    assert len(line.events()) < 2 * ORDERS
    line.heal(dropping)
    line.kill("deliver")
    said = line.run("audit", "--confirmed", "--json", "--wait", "90")
    report = json.loads(said.out)
    assert said.code == 0, report["receipts"]
    assert report["receipts"] == {"share": 1.0, "awaited": 0, "overdue": []}
    assert report["deliveries"]["confirmed"] == 2 * ORDERS
    assert len(line.events()) == 2 * ORDERS
    line.every_operation_arrived()

    line.fault({"drop_after_202": True}, rate=1.0, path="/api/event*", method="POST")
    last = 2 * ORDERS
    line.send([message("track", last, userId="p1", event="Order Completed", properties={"orderId": "1"})])
    line.idle()
    eventually(lambda: line.look()["deliveries"]["unconfirmed"] == 1)
    said = line.run("audit", "--confirmed")
    assert said.code == 1
    assert f"not confirmed: track-{last} of space acme" in said.out
    assert "unconfirmed" in said.out
