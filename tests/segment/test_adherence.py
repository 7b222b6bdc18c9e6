"""The weekly report: how traffic keeps to its contracts."""

from streams.segment.adherence import Adherence, readable
from streams.segment.contracts import Contracts
from tests.segment.test_contracts import SCHEMAS

ORDER = {"type": "track", "event": "Order Completed", "properties": {"order_id": "o", "products": []}}
BROKEN = {
    "type": "track",
    "event": "Order Completed",
    "properties": {"products": [{"price": "1"}, {"price": "2"}]},
}


def adherence() -> Adherence:
    found = Adherence(Contracts(SCHEMAS), {"Order Completed": True})
    for message in (ORDER, BROKEN, {"type": "track", "event": "Other"}, {"type": "page"}):
        found.take(message)
    found.take(BROKEN, refused=True)
    return found


def test_each_event_has_its_counts_and_violations_by_path() -> None:
    """However many elements of a list break, a message counts once for the path."""
    document = adherence().document()
    assert document["totals"] == {"count": 4, "accepted": 3, "refused": 1, "broken": 2}
    order, other = document["events"]
    assert order == {
        "event": "Order Completed",
        "contract": True,
        "enforce": True,
        "count": 3,
        "accepted": 2,
        "refused": 1,
        "broken": 2,
        "violations": [
            {"path": "properties.order_id", "expected": "string", "found": "missing", "count": 2},
            {
                "path": "properties.products[].price",
                "expected": "null or double",
                "found": "text '1'",
                "count": 2,
            },
        ],
    }
    assert (other["event"], other["contract"], other["violations"]) == ("Other", False, [])


def test_it_reads_well() -> None:
    said = readable(adherence().document(), "7d").splitlines()
    assert said[0].startswith("Since 7d: 4 tracks, 2 break their contract")
    assert said[2] == "Order Completed (enforced): 3, 1 refused, 2 broken (66.7%)"
    assert "properties.products[].price must be null or double, found text '1'" in said[4]


def test_contracts_that_nobody_sent_are_named() -> None:
    assert Adherence(Contracts(SCHEMAS), {}).document()["silent"] == ["Order Completed"]
