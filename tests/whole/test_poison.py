"""One bad row costs one row, whether Klaviyo says which it is or not."""

import pytest

from tests.whole.conftest import Start
from tests.whole.messages import message
from tests.whole.running import PIPELINE

pytestmark = pytest.mark.stack

PEOPLE, EACH = 60, 5
WORDS = "This address is on Klaviyo's own list."
BULK = "/api/event-bulk-create-jobs"
BETA = "  beta:\n    klaviyo: {api_key: pk_beta}\nsources:"
TWO = PIPELINE.replace("sources:", BETA).replace("[acme]", "[acme, beta]")


def test_only_the_poisoned_rows_of_a_bulk_call_become_dead_letters(start: Start) -> None:
    """Of one account Klaviyo names the row, of the other it names none."""
    line = start(TWO)
    people = [f"person{n}" for n in range(PEOPLE)]
    line.send(
        message("identify", n, userId=who, traits={"email": f"{who}@shop.io"}) for n, who in enumerate(people)
    )
    line.idle()
    poisoned = "person7@shop.io"
    for account, pointer in (("acme", True), ("beta", False)):
        row = {"email": poisoned, "code": "invalid", "detail": WORDS, "pointer": pointer}
        line.fault({"error_rows": [row]}, path="/api/event*", account=account)
    backlog = "gather a backlog: that goes by bulk calls"
    assert line.run("lanes", "pause", "--all", "--reason", backlog).code == 0

    orders = [(who, n) for n in range(EACH) for who in people]
    line.send(
        message("track", number, userId=who, event="Order Completed", properties={"orderId": f"{who}-{n}"})
        for number, (who, n) in enumerate(orders)
    )
    assert line.run("lanes", "resume", "--all").code == 0
    report = line.drained()

    letters, requests = line.dead_letters(), line.requests()
    for account in ("acme", "beta"):
        bulk = [each for each in requests if each["account"] == account and each["path"].startswith(BULK)]
        assert any(each["status"] == 202 for each in bulk)
        mine = [each for each in letters if each["account"] == account]
        assert [(each["lane"], each["reason"]) for each in mine] == [("events", "rejected")] * EACH
        assert all(WORDS in each["detail"] and each["reply"]["status"] == 400 for each in mine)
        assert {each["event_id"] for each in mine} == {
            f"track-{number}" for number, (who, _) in enumerate(orders) if who == "person7"
        }
        reached = {event["email"] for event in line.of_account(account)}
        assert reached == {f"{who}@shop.io" for who in people} - {poisoned}
    assert len(letters) == 2 * EACH
    assert report["delivered"] == 2 * (PEOPLE + (PEOPLE - 1) * EACH)
    line.every_operation_arrived()
    line.order_was_kept()
