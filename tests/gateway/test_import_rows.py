"""Reading rows: each format, from any point on; one bad row costs one row."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy
from pyarrow import parquet

from streams.engine.errors import Misconfigured
from streams.gateway.rows.mapping import Shape
from streams.gateway.rows.open import open_rows, shown
from streams.gateway.rows.row import Reader, Row

BY_ID = Shape("web", "id", None)


def opened(location: Path | str, **more: Any) -> Reader:
    return open_rows(str(location), BY_ID, **more)


def seen(rows: list[Row]) -> list[Any]:
    return [row.problem or dict(row.values) for row in rows]


def csv_file(folder: Path, text: str | bytes) -> Path:
    file = folder / "rows.csv"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def as_csv(folder: Path, count: int) -> Path:
    lines = [f'{n},"line one\nof {n}"' if n % 3 == 0 else f"{n},ü{n}" for n in range(count)]
    return csv_file(folder, "\ufeffid,text\r\n" + "\r\n".join(lines) + "\r\n")


def as_jsonl(folder: Path, count: int) -> Path:
    file = folder / "rows.jsonl"
    file.write_text("\n\n".join(json.dumps({"id": n, "deep": {"a": [n]}}) for n in range(count)))
    return file


def as_parquet(folder: Path, count: int) -> Path:
    table = pa.table({"id": range(count), "at": [datetime(2026, 1, 1, tzinfo=UTC)] * count})
    parquet.write_table(table, folder / "rows.parquet", row_group_size=4)
    return folder / "rows.parquet"


@pytest.mark.parametrize("make", [as_csv, as_jsonl, as_parquet])
def test_reading_goes_on_behind_any_row(tmp_path: Path, make: Callable[[Path, int], Path]) -> None:
    file = make(tmp_path, 11)
    rows = list(opened(file).rows(None))
    assert [row.number for row in rows] == list(range(1, 12))
    for n, row in enumerate(rows, start=1):
        assert list(opened(file).rows(row.after)) == rows[n:]
    assert rows[-1].done == opened(file).total


@pytest.mark.parametrize("make", [as_csv, as_jsonl])
def test_a_file_that_grew_is_read_on(tmp_path: Path, make: Callable[[Path, int], Path]) -> None:
    last = list(opened(make(tmp_path, 3)).rows(None))[-1]
    grown = list(opened(make(tmp_path, 5)).rows(last.after))
    assert [row.number for row in grown] == [4, 5]


@pytest.mark.parametrize("make", [as_csv, as_jsonl, as_parquet])
def test_another_file_is_not_read_on(tmp_path: Path, make: Callable[[Path, int], Path]) -> None:
    last = list(opened(make(tmp_path, 9)).rows(None))[-1]
    with pytest.raises(Misconfigured, match="not the file it was"):
        list(opened(make(tmp_path, 2)).rows(last.after))


def test_csv_of_any_delimiter_leaves_out_empty_fields(tmp_path: Path) -> None:
    file = csv_file(tmp_path, 'id;text;more\n1;"a;b, ""c""";\n\n2;;x\n')
    assert seen(list(opened(file).rows(None))) == [{"id": "1", "text": 'a;b, "c"'}, {"id": "2", "more": "x"}]


def test_a_bad_csv_row_costs_one_row(tmp_path: Path) -> None:
    file = csv_file(
        tmp_path,
        b'id,text\n1,a\n2,b,c\n3,"open\n4,"d"\n5\n6,\xff\n7,"x"y\n8,e\n9,"still open',
    )
    rows = list(opened(file).rows(None))
    assert [row.values["id"] for row in rows if not row.problem] == ["1", "4", "8"]
    bad = {row.number: (row.problem, row.raw) for row in rows if row.problem}
    assert bad[2] == ("it has 3 fields, the header has 2", b"2,b,c\n")
    assert bad[3][1] == b'3,"open\n'
    assert bad[5][0] == "it has 1 fields, the header has 2"
    assert bad[6][0] == "column text is not UTF-8"
    assert bad[7][0].startswith("not CSV")
    assert bad[9][1] == b'9,"still open'


def test_an_open_quote_before_a_long_file_costs_its_line(tmp_path: Path) -> None:
    file = csv_file(tmp_path, 'id,text\n1,"open\n' + "".join(f"{n},{'x' * 90}\n" for n in range(5000)))
    rows = list(opened(file).rows(None))
    assert [row.number for row in rows if row.problem] == [1]
    assert len(rows) == 5001


def test_a_bad_json_line_costs_one_row(tmp_path: Path) -> None:
    file = tmp_path / "rows.ndjson"
    file.write_bytes(b'{"id":1}\n{"id":\n[1]\n\xff\n{"id":2}')
    rows = list(opened(file).rows(None))
    assert [row.number for row in rows if row.problem] == [2, 3, 4]
    assert rows[-1].values == {"id": 2}


def test_what_cannot_be_read_says_what_to_do(tmp_path: Path) -> None:
    file = csv_file(tmp_path, "uid,text\n1,a\n")
    for location, more, says in (
        (file, {}, "no column id; there are uid, text"),
        (file, {"table": "t"}, "for databases"),
        (tmp_path / "none.csv", {}, "No such file"),
        (tmp_path / "rows.xlsx", {}, "has to end in"),
        ("sqlite://", {}, "--table or --query"),
        ("sqlite://", {"table": "t"}, "--cursor"),
        ("sqlite://", {"table": "t", "cursor": "at"}, "no such table"),
        ("sqlite:///none/shop.db", {"table": "t", "cursor": "at"}, "none/shop.db: no such file"),
        ("mssql+pymssql://h/d", {"table": "t", "cursor": "at"}, "pip install pymssql"),
        ("nonsense://", {"table": "t", "cursor": "at"}, "URL"),
    ):
        with pytest.raises(Misconfigured, match=says):
            opened(location, **more)
    with pytest.raises(Misconfigured, match="two columns named 'id'"):
        opened(csv_file(tmp_path, "id,id\n"))
    assert shown("postgresql://me:secret@db/shop") == "postgresql://me:***@db/shop"


class Database:
    def __init__(self, folder: Path, kind: str = "TEXT") -> None:
        self.url = f"sqlite:///{folder / 'shop.db'}"
        self.engine = sqlalchemy.create_engine(self.url)
        self.run(f"CREATE TABLE customers (id TEXT, email TEXT, updated_at {kind})")

    def run(self, statement: str, *rows: dict[str, Any]) -> None:
        with self.engine.begin() as connection:
            connection.execute(sqlalchemy.text(statement), list(rows) or None)

    def add(self, *rows: tuple[Any, Any]) -> None:
        self.run(
            "INSERT INTO customers VALUES (:id, :email, :at)",
            *({"id": key, "email": f"{key}@x.io", "at": at} for key, at in rows),
        )

    def rows(self, after: Any = None, **more: Any) -> list[Row]:
        return list(opened(self.url, cursor="updated_at", **more or {"table": "customers"}).rows(after))


def ids(rows: list[Row]) -> list[Any]:
    return [row.values["id"] for row in rows]


def test_a_table_is_read_in_the_order_of_cursor_and_key_from_any_row_on(tmp_path: Path) -> None:
    database = Database(tmp_path)
    database.add(("c", "2"), ("a", "2"), ("b", "1"), ("d", "3"))
    rows = database.rows()
    assert ids(rows) == ["b", "a", "c", "d"]
    for n, row in enumerate(rows, start=1):
        assert database.rows(row.after) == rows[n:]


def test_behind_an_import_that_ended_comes_its_last_cursor_value_again(tmp_path: Path) -> None:
    database = Database(tmp_path)
    database.add(("a", "1"), ("c", "2"))
    last = database.rows()[-1]
    database.add(("b", "2"), ("d", "3"))
    assert ids(database.rows({**last.after, "ended": True})) == ["b", "c", "d"]


def test_rows_that_a_point_cannot_tell_apart_stay_together(tmp_path: Path) -> None:
    database = Database(tmp_path)
    database.add(("a", "1"), ("a", "1"), ("b", "1"))
    assert [row.last for row in database.rows()] == [False, True, True]


def test_rows_without_cursor_are_refused_and_those_without_key_are_not_lost(tmp_path: Path) -> None:
    database = Database(tmp_path)
    database.add((None, "1"), ("a", None), ("b", "1"), (None, "2"))
    rows = database.rows()
    assert [(row.values["id"], bool(row.problem)) for row in rows] == [
        ("a", True), (None, False), ("b", False), (None, False),
    ]  # fmt: skip
    for n, row in enumerate(rows, start=1):
        assert set(ids(rows[n:])) <= set(ids(database.rows(row.after)))


def test_a_query_is_read_likewise(tmp_path: Path) -> None:
    database = Database(tmp_path, "INTEGER")
    database.add(("a", 1), ("b", 2), ("c", 3))
    query = "SELECT id, updated_at FROM customers WHERE id <> 'b';"
    assert ids(database.rows(query=query)) == ["a", "c"]


@pytest.mark.parametrize(
    "value",
    [datetime(2026, 1, 1, 12, tzinfo=UTC), date(2026, 1, 1), Decimal("1.50"), 7, 1.5, "x", b"\0\xff", None],
)
def test_a_cursor_of_any_kind_survives_json(value: object) -> None:
    from streams.gateway.rows.sql import _kept, _read  # noqa: PLC0415

    assert _read(json.loads(json.dumps(_kept(value)))) == value


def parquet_file(folder: Path, **columns: Any) -> Path:
    parquet.write_table(pa.table(columns), folder / "rows.parquet")
    return folder / "rows.parquet"


@pytest.mark.parametrize(
    "bad",
    [
        pa.array([10**15, 0], pa.timestamp("s")),
        pa.array([10**8, 0], pa.date32()),
        pa.array([1, 0], pa.duration("ns")),
        pa.array([b"\xff", b"a"]).view(pa.utf8()),
        pa.array([{"x": 1}, {"x": 0}], pa.struct([("x", pa.timestamp("ns"))])),
    ],
    ids=lambda array: str(array.type),
)
def test_a_parquet_value_that_python_has_no_room_for_costs_its_row(tmp_path: Path, bad: Any) -> None:
    rows = list(opened(parquet_file(tmp_path, id=["a", "b"], bad=bad)).rows(None))

    assert rows[0].problem.startswith("column bad can't be read")
    assert b"'id': 'a'" in rows[0].raw
    assert (rows[1].problem, rows[1].values["id"], rows[1].number) == ("", "b", 2)


def test_times_in_nanoseconds_are_cut(tmp_path: Path) -> None:
    at = pa.array([1_700_000_000_000_001_999], pa.timestamp("ns", tz="UTC"))
    clock = pa.array([1_999], pa.time64("ns"))

    ((row,)) = opened(parquet_file(tmp_path, id=["a"], at=at, clock=clock)).rows(None)

    assert row.values["at"] == datetime(2023, 11, 14, 22, 13, 20, 1, tzinfo=UTC)
    assert row.values["clock"].isoformat() == "00:00:00.000001"


def test_another_parquet_file_of_the_same_size_is_not_read_on(tmp_path: Path) -> None:
    (row, *_) = opened(parquet_file(tmp_path, id=["a1", "b1"])).rows(None)

    with pytest.raises(Misconfigured, match="not the file it was"):
        list(opened(parquet_file(tmp_path, id=["a2", "b2"])).rows(row.after))


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_file_whose_lines_moved_behind_its_beginning_is_not_read_on(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"rows.{suffix}"
    lines = ["id,text" if suffix == "csv" else '{"id":0}']
    long = "x" * 1_000
    lines += [f"{n},{long}" if suffix == "csv" else f'{{"id":{n},"text":"{long}"}}' for n in range(200)]
    file.write_text("\n".join(lines) + "\n")
    *_, last = (row for row in opened(file).rows(None) if row.number < 150)

    lines[100] += "   "
    file.write_text("\n".join(lines) + "\n")

    with pytest.raises(Misconfigured, match="not the file it was"):
        list(opened(file).rows(last.after))


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_last_line_without_its_end_may_get_it_later(tmp_path: Path, end: str) -> None:
    file = csv_file(tmp_path, "id,text\n1,a")
    (row,) = opened(file).rows(None)

    file.write_text("id,text\n1,a\n2,b" + end)

    assert seen(list(opened(file).rows(row.after))) == [{"id": "2", "text": "b"}]


def test_a_header_that_is_not_utf8_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="not UTF-8"):
        opened(csv_file(tmp_path, "id,prénom\n1,a\n".encode("latin-1")))


def test_a_damaged_parquet_file_is_named(tmp_path: Path) -> None:
    file = as_parquet(tmp_path, 50)
    data = file.read_bytes()
    file.write_bytes(data[:4] + bytes(300) + data[304:])

    with pytest.raises(Misconfigured, match="damaged"):
        list(opened(file).rows(None))
