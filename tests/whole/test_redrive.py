"""What was refused goes back once its cause is mended: delivered once, and the audit says so."""

import json

import pytest

from tests.line import eventually
from tests.whole.messages import message
from tests.whole.running import Whole

pytestmark = pytest.mark.stack

PEOPLE = 10


def test_redriven_letters_are_delivered_once_both_ways(line: Whole) -> None:
    line.send(
        message("identify", n, userId=f"person{n}", traits={"email": f"person{n}@shop.io"})
        for n in range(PEOPLE)
    )
    line.idle()
    refused = {"email": "person7@shop.io", "code": "invalid", "detail": "not this one", "pointer": True}
    at_klaviyo = line.fault({"error_rows": [refused]}, path="/api/event*")
    asked = {"match": {"path": "/v1/batch"}, "do": {"status": 400}, "rate": 1.0, "seed": 1}
    at_segment = line.ask("segment", "/sim/faults", asked)["id"]
    line.send(
        message("track", n, userId=f"person{n}", event="Order Completed", properties={"orderId": str(n)})
        for n in range(PEOPLE)
    )
    line.engage(1)
    eventually(lambda: len(line.dead_letters()) == 2)
    report = line.drained()
    assert (report["dead_lettered"], report["engagement"]["dead_lettered"]) == (1, 1)

    line.heal(at_klaviyo)
    line.ask("segment", f"/sim/faults/{at_segment}", method="DELETE")
    said = line.run("dead-letters", "redrive", "--reason", "rejected", "--json")
    assert (said.code, json.loads(said.out)["done"]) == (0, 2), said
    report = line.drained()
    assert (report["dead_lettered"], report["engagement"]["dead_lettered"]) == (0, 0)
    assert report["delivered"] == 2 * PEOPLE
    assert report["engagement"]["forwarded"] == 1
    assert len(line.events()) == PEOPLE
    assert len(line.forwarded()) == 1

    # the same once more: nothing is done, and where it is insisted on, nothing is recorded twice
    said = line.run("dead-letters", "redrive", "--all", "--json")
    assert (said.code, json.loads(said.out)["before"]) == (0, 2), said
    assert line.run("dead-letters", "redrive", "--all", "--again").code == 0
    line.drained()
    assert len(line.events()) == PEOPLE
    assert len(line.forwarded()) == 1
    assert {letter["status"] for letter in line.dead_letters()} == {"redriven"}
