"""One bad row costs one row, whether Klaviyo says which it is or not."""

import pytest

from tests.whole.running import Whole, message

pytestmark = [pytest.mark.stack, pytest.mark.xdist_group("whole")]

PEOPLE, EACH = 60, 5
WORDS = "This address is on Klaviyo's own list."
BULK = "/api/event-bulk-create-jobs"


@pytest.mark.parametrize("pointer", [True, False], ids=["Klaviyo names the row", "Klaviyo names no row"])
def test_only_the_poisoned_rows_of_a_bulk_call_become_dead_letters(line: Whole, pointer: bool) -> None:
    people = [f"person{n}" for n in range(PEOPLE)]
    line.send(
        message("identify", n, userId=who, traits={"email": f"{who}@shop.io"}) for n, who in enumerate(people)
    )
    line.drained()
    poisoned = "person7@shop.io"
    row = {"email": poisoned, "code": "invalid", "detail": WORDS, "pointer": pointer}
    line.fault({"error_rows": [row]}, path="/api/event*")
    line.run("lanes", "pause", "acme/events", "--reason", "gather a backlog: that goes by bulk calls")

    orders = [(who, n) for n in range(EACH) for who in people]
    line.send(
        message("track", number, userId=who, event="Order Completed", properties={"orderId": f"{who}-{n}"})
        for number, (who, n) in enumerate(orders)
    )
    line.run("lanes", "resume", "acme/events")
    report = line.drained()

    assert any(request["path"].startswith(BULK) and request["status"] == 202 for request in line.requests())
    letters = line.dead_letters()
    assert [(each["lane"], each["reason"]) for each in letters] == [("events", "rejected")] * EACH
    assert all(WORDS in each["detail"] and each["reply"]["status"] == 400 for each in letters)
    assert {each["event_id"] for each in letters} == {
        f"track-{number}" for number, (who, _) in enumerate(orders) if who == "person7"
    }
    assert report["delivered"] == PEOPLE + (PEOPLE - 1) * EACH
    assert {event["email"] for event in line.events()} == {f"{who}@shop.io" for who in people} - {poisoned}
    line.every_operation_arrived()
    line.order_was_kept()
