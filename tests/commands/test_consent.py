"""``streams consent export``: what the consent lane left in its changelog, read back without a worker."""

import csv
import json
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from streams.cli import app, exit_code
from streams.engine import changelog
from streams.engine.slots import Slots
from streams.engine.transactions import Transactions
from streams.identify.people import Person
from streams.klaviyo.observations import stranger
from streams.klaviyo.requests import iso
from streams.local.stack import Stack
from tests.deliver.line import FREE, Line, simulator
from tests.deliver.test_consent import now, say
from tests.deliver.test_lists import make_list
from tests.line import PIPELINE, Bench

ANNA, BERT = (bytes([n]) * 16 for n in (1, 2))
NOWHERE = {"STREAMS_KAFKA_BOOTSTRAP": "127.0.0.1:1", "STREAMS_REGISTRY_URL": "http://127.0.0.1:1"}


def commit(bench: Bench, stage: str, partition: int, *batches: Mapping[bytes, bytes | None]) -> None:
    """Write changes as the stage's slot does: a transaction a batch, the position last."""
    transactions = Transactions(bench.config.kafka.client(), f"{bench.config.prefix}{stage}/{partition}")
    transactions.begin()
    try:
        for changes in batches:
            log = changelog.records(dict(changes), b"{}", packed=False)
            topic = f"{bench.config.prefix}changelog.{stage}"
            transactions.write([(topic, [(partition, *record) for record in log])])
    finally:
        transactions.close()


def export(bench: Bench, *words: str, **env: str) -> Result:
    command = ["consent", "export", "--config", str(bench.file), *words]
    return CliRunner().invoke(app, command, env=bench.env | env)


def objects(result: Result) -> list[dict[str, object]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def left(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def lane(at: int) -> dict[bytes, bytes]:
    """What the real lane leaves: Anna agreed twice and left email's list, Klaviyo told of Bert's address."""
    async with simulator(budgets=FREE) as sim:
        await make_list(sim)
        line = Line(sim.url)
        both = {"channels": {"sms": ["marketing"], "email": ["marketing"]}, "custom_source": "checkout"}
        rows = [
            say(1, 1, payload=both, time=at - 9000),
            say(2, 1, payload={"list": "News"}, time=at - 8000),
            say(3, 1, "unsubscribe", {"list": "News"}, time=at - 7000),
            say(4, 2, "observed", {"status": "unsubscribed"}, time=at - 6000),
        ]
        for row in rows[:3]:
            row["profile"] |= {"id": ANNA.hex(), "phone": "+12025550101"}
        rows[3]["profile"] |= {"id": stranger("u2@shop.io", None), "user_id": None, "anonymous_ids": []}
        for row in rows:
            line.put(row)
            await line.drain()
        assert not line.world.dead_letters
        return line.world.store


@pytest.mark.stack
async def test_what_the_lane_knows_is_exported_whole(stack: Stack, prefix: str, tmp_path: Path) -> None:
    bench, at = Bench(stack, prefix, tmp_path), now()
    slots = Slots.read(bench.config)
    held = await lane(at)
    old = {key: b'{"email.marketing": [1, 2, 2, 1, "stale"]}' for key in held if key.startswith(b"c/")}
    commit(bench, "deliver", slots.account("acme"), {**old, b"c/gone": b"{}"}, {**held, b"c/gone": None})
    people = [
        Person(ANNA, 1, email="u1@shop.io", phone="+12025550101"),
        Person(BERT, 2, email="u2@shop.io"),
        Person(bytes(16), 3, email="nobody@shop.io"),
    ]
    known = {b"p" + person.id: person.dump() for person in people}
    commit(bench, "identify", slots.space("acme"), {b"p" + ANNA: Person(ANNA, 1).dump()}, known)

    found = objects(export(bench, "--account", "acme", "--json"))
    assert [(r["email"], r["channel"], r["list_name"], r["state"]) for r in found] == [
        ("u1@shop.io", "email", "", "subscribed"),
        ("u1@shop.io", "email", "News", "unsubscribed"),
        ("u1@shop.io", "sms", "", "subscribed"),
        ("u2@shop.io", "email", "", "unsubscribed"),
    ]
    assert [row["profile_id"] for row in found] == [ANNA.hex()] * 3 + [BERT.hex()]
    assert [row["at"] for row in found[:3]] == [iso(at - 8000), iso(at - 7000), iso(at - 9000)]
    assert [(row["source"], row["custom_source"]) for row in found[2:]] == [
        ("rule", "checkout"),
        ("klaviyo", ""),
    ]

    told = export(bench, "--account", "acme")
    assert told.exit_code == 0
    table = list(csv.DictReader(StringIO(told.stdout)))
    assert [{**row, "suppressed": row["suppressed"] == "true"} for row in table] == found
    assert "4 rows" in told.stderr
    assert objects(export(bench, "--account", "acme", "--json", "--channel", "sms")) == found[2:3]
    assert objects(export(bench, "--account", "acme", "--json", "--list", "News")) == found[1:2]
    misspelt = export(bench, "--account", "acme", "--list", "Newz")
    assert (misspelt.exit_code, "write News" in misspelt.stderr) == (2, True)

    file = tmp_path / "consent.csv"
    assert export(bench, "--account", "acme", "--out", str(file)).stdout == ""
    assert (file.read_text(), file.stat().st_mode & 0o777) == (told.stdout, 0o600)
    assert [name for name in left(tmp_path) if "consent" in name] == ["consent.csv"]


@pytest.fixture
def starter(tmp_path: Path) -> Path:
    file = tmp_path / "pipeline.yaml"
    file.write_text(PIPELINE)
    return file


def test_an_account_that_is_not_there_exits_2_and_names_the_nearest(starter: Path) -> None:
    words = ["consent", "export", "--config", str(starter), "--account"]
    found = CliRunner().invoke(app, [*words, "acne"], env=NOWHERE)
    assert (found.exit_code, "write acme" in found.stderr) == (2, True)


def test_help_says_what_a_row_has() -> None:
    found = CliRunner().invoke(app, ["consent", "export", "--help"])
    assert found.exit_code == 0
    assert "Example: streams consent export" in found.stdout
    for column in ("profile_id", "list_id", "state", "custom_source", "suppressed"):
        assert column in found.stdout


def test_with_the_broker_away_it_exits_3_and_nothing_is_written(starter: Path) -> None:
    out = starter.parent / "never.csv"
    words = ["consent", "export", "--config", str(starter), "--account", "acme", "--out", str(out)]
    found = CliRunner().invoke(app, words, env=NOWHERE)
    assert isinstance(found.exception, Exception)
    assert (found.stdout, exit_code(found.exception)) == ("", 3)
    assert left(starter.parent) == ["pipeline.yaml"]
