"""A chunk of rows: a bad one is one dead letter at however many runs, and says where it is mended."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from streams.config import load
from streams.gateway.entry import Entry
from streams.gateway.messages import Arrival
from streams.gateway.readmit import readmit
from streams.gateway.rows import chunk
from streams.gateway.rows.mapping import Shape, target
from streams.gateway.rows.row import Row
from streams.gateway.rows.sent import Sent
from streams.ledger.reentry import Line, Stays
from tests.gateway.conftest import own
from tests.ledger.said import refuses
from tests.ledger.test_reentry import SLOTS
from tests.line import PIPELINE

IDENTIFY = Shape("web", "user_id", "email", maps=dict([target("age=age:number")]))
EVENT = replace(IDENTIFY, event="Seen")
GOOD: dict[str, Any] = {"user_id": "u1", "age": "3"}
OLD: dict[str, Any] = {"user_id": "u2", "age": "old"}
NOBODY: dict[str, Any] = {"age": "5"}


class Json:
    """Encodes what it is given as JSON."""

    def encode(self, value: Any) -> bytes:
        return orjson.dumps(value, default=repr)


class Runs:
    """One import after the other, each of all its rows in one chunk."""

    def __init__(self, folder: Path, shape: Shape) -> None:
        self.file, self.shape = folder / "sent.db", shape
        self.count = 0

    def run(self, *rows: Row, by_change: bool = True) -> tuple[chunk.Done, list[dict[str, Any]]]:
        self.count += 1
        shape = replace(self.shape, run=f"r{self.count}")
        entry = Entry("import", Json(), Json(), 4)  # type: ignore[arg-type]
        arrival = Arrival("web", ("acme",), self.count, "import/web/x", 32_768)
        with Sent(self.file, f"{self.count - 1}" if self.count > 1 else "") as last:
            done = chunk.add(entry, rows, shape, arrival, last, by_change=by_change)
            last.keep(done.changed, str(self.count))
        return done, [orjson.loads(value or b"") for _, _, value in entry.letters]


def row(number: int, values: dict[str, Any]) -> Row:
    return Row(number, values, number, {})


@pytest.mark.parametrize("shape", [IDENTIFY, EVENT], ids=["identify", "event"])
@pytest.mark.parametrize("by_change", [True, False], ids=["by change", "send all"])
@pytest.mark.parametrize("bad", [row(2, OLD), row(2, NOBODY), Row(2, {}, 2, {}, "it has 2 fields", b"u2,\n")])
def test_a_bad_row_has_one_dead_letter_at_however_many_runs(
    tmp_path: Path, shape: Shape, by_change: bool, bad: Row
) -> None:
    runs = Runs(tmp_path, shape)
    done, letters = runs.run(row(1, GOOD), bad, by_change=by_change)
    assert (done.sent, done.refused, done.known, len(letters)) == (1, 1, 0, 1)
    moved = replace(bad, number=7)
    done, letters = runs.run(moved, row(8, GOOD), by_change=by_change)
    assert (done.refused, done.known, letters) == (1, 1, [])


def test_another_content_or_another_fault_is_another_dead_letter(tmp_path: Path) -> None:
    runs = Runs(tmp_path, IDENTIFY)
    first = runs.run(row(1, OLD))[1]
    other = runs.run(row(1, OLD | {"age": "older"}))[1]
    assert first[0]["event_id"] != other[0]["event_id"]
    runs.shape = replace(IDENTIFY, time="at")
    assert len(runs.run(row(1, OLD | {"age": "3"}))[1]) == 1


def test_without_what_was_kept_the_row_has_the_same_event_id_again(tmp_path: Path) -> None:
    runs = Runs(tmp_path, IDENTIFY)
    before = runs.run(row(1, NOBODY), row(2, OLD))[1]
    runs.file.unlink()
    runs.count = 0
    again = runs.run(row(5, NOBODY), row(9, OLD))[1]
    assert [each["event_id"] for each in before] == [each["event_id"] for each in again]
    assert len({each["event_id"] for each in before}) == 2


def test_a_row_that_is_mended_is_sent(tmp_path: Path) -> None:
    runs = Runs(tmp_path, IDENTIFY)
    runs.run(row(1, GOOD), row(2, OLD))
    done, letters = runs.run(row(1, GOOD), row(2, OLD | {"age": "3"}))
    assert (done.sent, done.unchanged, done.refused, letters) == (1, 1, 0, [])


@pytest.mark.parametrize("data", [b"u2,\n", b'{"user_id":"u2"}'])
def test_a_redrive_says_where_a_row_is_mended(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text(PIPELINE)
    line = Line(load(file, {}), SLOTS, lambda _: own("envelope"))
    stays = readmit(refuses("import", -1, partition=-1) | {"bytes": data}, line)
    assert isinstance(stays, Stays)
    assert stays.why.endswith("; fix the row in the file and import again, then discard this letter")


@pytest.mark.parametrize("value", [10**30, "\udcff", {"\udcff": 1}], ids=["huge", "surrogate", "key"])
def test_what_json_can_not_hold_costs_its_row(tmp_path: Path, value: Any) -> None:
    done, letters = Runs(tmp_path, IDENTIFY).run(row(1, {"user_id": "u1", "x": value}), row(2, GOOD))

    assert (done.sent, done.refused) == (1, 1)
    assert "row 1: the row can't be written as JSON" in letters[0]["detail"]
