"""Importing, with a real broker: rows in, envelopes in the backfill topic, progress in control."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy
from pyarrow import parquet

from streams.engine.control import read_control
from streams.local.stack import Stack
from tests.line import Bench, eventually

pytestmark = pytest.mark.stack
BACKFILL = "segment.events.backfill"
WHO = ("--source", "web", "--id-column", "user_id", "--email-column", "email")


class Imports:
    """The command on a bench."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.file = bench.folder / "customers.csv"

    def write(self, rows: range | list[int], plan: str = "pro") -> None:
        lines = "".join(f"u{n},u{n}@x.io,{plan},{n}\n" for n in rows)
        self.file.write_text("user_id,email,plan,visits\n" + lines)

    def start(self, *words: str, location: str = "") -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "streams", "import", location or str(self.file), *WHO, *words]
        return subprocess.Popen(
            [*command, "--config", str(self.bench.file)],
            env=os.environ | self.bench.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, code: int = 0, location: str = "") -> tuple[str, str]:
        child = self.start(*words, location=location)
        out, err = child.communicate(timeout=120)
        assert child.returncode == code, err
        return out, err

    def counts(self, *words: str, location: str = "") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run(*words, "--json", location=location)[0])
        return found

    def events(self) -> list[dict[str, Any]]:
        return self.bench.decoded(BACKFILL, "envelope")


@pytest.fixture
def imports(stack: Stack, prefix: str, tmp_path: Path) -> Imports:
    return Imports(Bench(stack, prefix, tmp_path))


def test_rows_become_identifies_behind_live_events(imports: Imports) -> None:
    imports.write(range(3))
    counts = imports.counts("--map", "visits=visits:number")
    assert (counts["rows"], counts["sent"], counts["refused"]) == (3, 3, 0)
    event = next(each for each in imports.events() if each["user_id"] == "u2")
    assert (event["type"], event["email"], event["space"], event["source"]) == (
        "identify",
        "u2@x.io",
        "acme",
        "web",
    )
    body = json.loads(event["body"])
    assert body["traits"] == {"email": "u2@x.io", "plan": "pro", "visits": 2}
    assert body["messageId"] == event["event_id"]
    assert imports.bench.read("segment.events") == []


def test_only_rows_that_changed_are_sent_also_back_to_what_they_were(imports: Imports) -> None:
    def uids(*words: str) -> tuple[int, int, int]:
        counts = imports.counts(*words)
        return counts["sent"], counts["unchanged"], len({event["uid"] for event in imports.events()})

    imports.write(range(5))
    assert uids() == (5, 0, 5)
    assert uids() == (0, 5, 5)
    imports.write(range(5), plan="free")
    assert uids() == (5, 0, 10)
    imports.write(range(5))
    assert uids() == (5, 0, 15)
    assert uids("--send-all") == (5, 0, 20)
    assert uids() == (0, 5, 20)
    shutil.rmtree(imports.bench.config.data / "import")
    assert uids() == (5, 0, 25)


def test_within_one_file_a_row_may_go_back_too(imports: Imports) -> None:
    rows = "".join(f"u1,u1@x.io,{plan}\n" for plan in ("pro", "free", "pro", "pro"))
    imports.file.write_text("user_id,email,plan\n" + rows)
    counts = imports.counts()
    assert (counts["sent"], counts["unchanged"]) == (3, 1)
    assert len({event["uid"] for event in imports.events()}) == 3


def test_what_another_machine_imported_since_is_not_taken_for_unchanged(imports: Imports) -> None:
    """Each has a data folder of its own: pro here, free there, pro here."""
    here, there = "", str(imports.bench.folder / "there")
    for folder, plan in ((here, "pro"), (there, "free"), (here, "pro")):
        imports.bench.env["STREAMS_DATA"] = folder or str(imports.bench.config.data)
        imports.write(range(2), plan=plan)
        assert imports.counts()["sent"] == 2
    assert len({event["uid"] for event in imports.events()}) == 6


def test_an_event_is_one_however_often_its_row_comes(imports: Imports) -> None:
    imports.write(range(3))
    for _ in range(2):
        assert imports.counts("--event", "Seen")["sent"] == 3
    assert len({event["uid"] for event in imports.events()}) == 3


def test_a_bad_row_is_a_dead_letter_that_names_it(imports: Imports) -> None:
    imports.file.write_text("user_id,email,age\nu1,,1\nu2,\n,,3\nu4,,old\nu5,,5\n")
    counts = imports.counts("--map", "age=age:number")
    assert (counts["sent"], counts["refused"]) == (2, 3)
    letters = sorted(imports.bench.decoded("dead.letters", "dead_letter"), key=lambda each: each["detail"])
    assert [letter["detail"].partition(",")[0] for letter in letters] == [
        "row 2: it has 2 fields",
        "row 3: the event names nobody: it needs userId or anonymousId",
        "row 4: age has to be number",
    ]
    assert letters[0]["bytes"] == b"u2,\n"
    assert {(letter["stage"], letter["origin"]["space"]) for letter in letters} == {("import", "acme")}
    counts = imports.counts("--map", "age=age:number")
    assert (counts["sent"], counts["unchanged"], counts["refused"], counts["known"]) == (0, 2, 3, 3)
    assert len(imports.bench.decoded("dead.letters", "dead_letter")) == 3


def test_killed_and_resumed_it_loses_nothing_and_writes_nothing_twice(imports: Imports) -> None:
    imports.write(range(30_000))
    for wanted in (2_000, 12_000):
        child = imports.start("--resume", "--rate", "4000")  # seconds before its end
        eventually(lambda most=wanted: len(imports.bench.read(BACKFILL)) >= most)
        child.kill()
        child.communicate()
        assert child.returncode == -9
    counts = imports.counts("--resume")
    events = imports.events()
    assert 0 < counts["rows"] < 30_000
    assert counts["resumed_after"] + counts["rows"] == 30_000
    assert len(events) == len({event["uid"] for event in events}) == 30_000
    assert {event["user_id"] for event in events} == {f"u{n}" for n in range(30_000)}


def test_killed_and_begun_anew_it_loses_nothing_of_what_changed(imports: Imports) -> None:
    """Without --resume all rows are read again; which were sent before the kill may not be known."""
    imports.write(range(20_000), plan="pro")
    imports.counts()
    imports.write(range(20_000), plan="free")
    child = imports.start()
    eventually(lambda: len(imports.bench.read(BACKFILL)) >= 24_000)
    child.kill()
    child.communicate()
    imports.write(range(20_000), plan="pro")
    imports.counts()
    newest = {event["user_id"]: json.loads(event["body"])["traits"]["plan"] for event in imports.events()}
    assert newest == {f"u{n}": "pro" for n in range(20_000)}


def test_resumed_after_its_end_it_brings_what_came_since(imports: Imports) -> None:
    imports.write(range(10))
    imports.counts("--resume")
    assert imports.counts("--resume")["rows"] == 0
    imports.write(range(13))
    counts = imports.counts("--resume")
    assert (counts["rows"], counts["resumed_after"]) == (3, 10)
    assert len(imports.events()) == 13
    assert "the same" in imports.run("--resume", "--event", "Seen", code=2)[1]
    imports.file.write_text("user_id,email\nother,\n")
    assert "not the file it was" in imports.run("--resume", code=2)[1]


def test_a_rate_holds(imports: Imports) -> None:
    imports.write(range(60))
    assert imports.counts("--rate", "40")["seconds"] >= 1.4
    (fact,) = [fact for (kind, _), fact in read_control(imports.bench.config).items() if kind == "replay"]
    assert json.loads(fact.detail or "")["ended"]


def test_a_database_and_parquet_are_imported(imports: Imports) -> None:
    url = f"sqlite:///{imports.bench.folder / 'shop.db'}"
    with sqlalchemy.create_engine(url).begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE people (user_id INT, email TEXT, updated_at INT)"))
        rows = [{"n": n, "email": f"{n}@x.io"} for n in range(5000)]
        connection.execute(sqlalchemy.text("INSERT INTO people VALUES (:n, :email, :n / 3000)"), rows)
    assert imports.counts("--table", "people", "--cursor", "updated_at", location=url)["sent"] == 5000
    file = imports.bench.folder / "people.parquet"
    parquet.write_table(pa.table({"user_id": ["p1", None], "email": [None, "p2@x.io"]}), file)
    assert imports.counts(location=str(file))["sent"] == 2
    assert len(imports.events()) == 5002


def test_a_dry_run_prints_messages_and_needs_no_broker(imports: Imports) -> None:
    imports.write(range(2))
    imports.bench.env["STREAMS_KAFKA_BOOTSTRAP"] = "127.0.0.1:1"
    out, _ = imports.run("--dry-run")
    assert [json.loads(line)["userId"] for line in out.splitlines()] == ["u0", "u1"]
    imports.file.write_text("user_id,email\nu1,\n,\n")
    out, err = imports.run("--dry-run", code=1)
    assert len(out.splitlines()) == 1
    assert err.startswith("row 2: the event names nobody")


def test_wrong_use_exits_2_and_a_broker_away_3(imports: Imports) -> None:
    imports.write(range(2))
    assert "no column" in imports.run("--map", "nothing=x", code=2)[1]
    assert "--map" in imports.run("--map", "nonsense", code=2)[1]
    assert "not both" in imports.run("--identify", "--event", "Seen", code=2)[1]
    assert "one of them" in imports.run("--space", "acme", code=2)[1]
    imports.bench.env["STREAMS_REGISTRY_URL"] = "http://127.0.0.1:1"
    assert "registry" in imports.run(code=3)[1]
