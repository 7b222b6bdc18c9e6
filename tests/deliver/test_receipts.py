"""Rules of receipts: what to read, when it was read, and what follows."""

from hashlib import blake2b

from hypothesis import given
from hypothesis import strategies as st

from streams.deliver import receipts
from streams.deliver.receipts import LOOKS, Look, seen, windows
from streams.deliver.row import Row
from streams.klaviyo.receipts import PAGE, find_events, metric_names, op_ids, selected
from tests.deliver.line import operation

T = 1_700_000_000


def row(n: int, topic: str = "klaviyo.events") -> Row:
    return Row(topic, n, n, operation(n), b"")  # type: ignore[arg-type]


def test_a_receipt_is_small_and_comes_back_as_it_was() -> None:
    rows = [row(n) for n in range(1000)]
    rows[3].into = {**rows[3].op["profile"], "id": "winner"}
    key, value = receipts.write(rows, "run-1", 0, 5000, 605_000)
    assert len(value) < 300
    found = receipts.read(value)
    assert found.count == 1000
    assert found.rows == {"klaviyo.events": [[0, 1000]]}
    assert found.into[receipts.place("klaviyo.events", 3)]["id"] == "winner"
    assert (receipts.due_ms(key), receipts.name_of(key)) == (605_000, "run-1")
    assert receipts.first_key(605_000) <= key < receipts.first_key(605_001)


def test_receipts_stand_in_the_order_of_when_they_are_due() -> None:
    keys = [receipts.write([row(1)], "n", 0, 0, due)[0] for due in (9, 10, 1_000_000_000_000, 99)]
    assert [receipts.due_ms(key) for key in sorted(keys)] == [9, 10, 99, 1_000_000_000_000]


def test_a_lost_row_is_found_again_by_its_key() -> None:
    key = receipts.lost_key("klaviyo.events.backfill", 17)
    assert receipts.lost_place(key) == ("klaviyo.events.backfill", 17)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 10**9)), max_size=60))
def test_each_row_lies_in_one_window_of_its_metric(rows: list[tuple[str, int]]) -> None:
    named = [(str(n), metric, time) for n, (metric, time) in enumerate(rows)]
    found = windows(named)
    for op_id, metric, time in named:
        holding = [window for window in found if op_id in window.wanted]
        assert len(holding) == 1
        assert holding[0].metric == metric
        assert holding[0].since_s < time // 1000 < holding[0].until_s


def test_what_lies_apart_is_read_apart_and_the_dense_is_read_first() -> None:
    near = [(f"n{n}", "a", (T + n) * 1000) for n in range(20)]
    far = [("f", "a", (T - 9000) * 1000), ("g", "b", T * 1000)]
    found = windows(far + near)
    assert [len(window.wanted) for window in found] == [20, 1, 1]
    many = [(str(n), "a", T * 1000 + n) for n in range(3 * PAGE)]
    assert [len(window.wanted) for window in windows(many)] == [1000, 1000, 1000]


def test_a_look_reads_page_by_page_and_no_further_than_it_must() -> None:
    named = [(str(n), "a", T * 1000) for n in range(4)]
    look = Look.planned(windows(named), {"a": ["A"]}, 10)
    (window,) = look.next(8)
    look.shown(window, ["0", "1", "others"], "more")
    (window,) = look.next(8)
    assert window.cursor == "more"
    look.shown(window, ["2", "3"], "and more")
    assert look.next(8) == []
    assert (look.found, look.beyond) == ({"0", "1", "2", "3"}, set())


def test_beyond_the_pages_nothing_is_known_and_a_metric_that_is_not_there_has_no_events() -> None:
    named = [("x", "a", T * 1000), ("y", "a", (T + 999) * 1000), ("z", "new", T * 1000)]
    look = Look.planned(windows(named), {"a": ["A"]}, 1)
    (window,) = look.next(8)
    look.shown(window, [], None)
    assert look.next(8) == []
    assert look.beyond == {"y"}
    rows = [row(1), row(2), row(3)]
    for each, name in zip(rows, "xyz", strict=True):
        each.op["op_id"] = name
    result = seen(rows, 0, look)
    assert ([r.op["op_id"] for r in result.later], result.beyond) == (["x", "z"], [rows[1]])


def test_two_metrics_of_one_name_are_both_read() -> None:
    look = Look.planned(windows([("x", "a", T * 1000)]), {"a": ["A", "B"]}, 5)
    first, second = look.next(8)
    look.shown(first, [], None)
    look.shown(second, ["x"], None)
    assert look.next(8) == []
    assert look.found == {"x"}


def test_three_looks_then_once_more_then_the_end() -> None:
    look = Look(0)
    rows = [row(1)]
    assert [bool(seen(rows, looks, look).later) for looks in range(LOOKS)] == [True, True, False]
    assert seen(rows, LOOKS - 1, look).lost == rows
    assert seen(rows, LOOKS, look).unconfirmed == rows


def test_the_share_is_stable_and_about_as_large_as_asked() -> None:
    ids = [blake2b(str(n).encode(), digest_size=16).hexdigest() for n in range(20_000)]
    assert not any(selected(each, 0.0) for each in ids)
    assert all(selected(each, 1.0) for each in ids)
    tenth = {each for each in ids if selected(each, 0.1)}
    assert 1800 < len(tenth) < 2200
    assert tenth < {each for each in ids if selected(each, 0.2)}
    assert selected("f" * 32, 1.0)


def test_answers_are_read_whatever_they_hold() -> None:
    data = [
        {"type": "event", "id": "1", "attributes": {"event_properties": {"$event_id": "x"}}},
        {"type": "event", "id": "2", "attributes": {"event_properties": None}},
        {"type": "event", "id": "3"},
        "nonsense",
    ]
    assert list(op_ids(data)) == ["x"]
    assert list(op_ids(None)) == []
    named = [{"id": "M", "attributes": {"name": "Viewed"}}, {"id": "N", "attributes": {"name": None}}]
    assert list(metric_names(named)) == [("Viewed", "M")]
    query = find_events("M", 1, 2, "c").query
    assert "metric_id%2C%22M%22" in query
    assert query.endswith("page%5Bcursor%5D=c")
