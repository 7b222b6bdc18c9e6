"""Topics and slots on a real broker."""

import threading
import time
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from streams.config import Config, loads
from streams.engine import admin, schemas
from streams.engine.control import read_control
from streams.engine.errors import Misconfigured
from streams.engine.layout import Layout, wanted
from streams.engine.slots import Slots
from streams.engine.topics import TOPICS
from streams.local.stack import Stack

pytestmark = pytest.mark.stack


def config(stack: Stack, prefix: str, accounts: str, partitions: int = 2) -> Config:
    keys = "\n".join(f"  {name}: {{klaviyo: {{api_key: k-{name}}}}}" for name in accounts.split())
    text = (
        f"accounts:\n{keys}\n"
        f"sources:\n  web: {{accounts: [{', '.join(accounts.split())}], write_key: w}}\n"
        "rules:\n  - {when: 'type = \"identify\"', do: profile}\n"
        f"prefix: {prefix}\npartitions: {partitions}\nreplication: 1\n"
        f"kafka: {{bootstrap: '{stack.kafka}'}}\nregistry: {{url: '{stack.registry}'}}\n"
    )
    return loads(text, "pipeline.yaml", {})


@pytest.fixture
def first(stack: Stack, prefix: str) -> Config:
    found = config(stack, prefix, "b a")
    schemas.register(found, lambda _: None)
    return found


def test_apply_creates_everything_once_and_then_has_nothing_to_do(first: Config) -> None:
    said: list[str] = []
    done = admin.apply(first, said.append)
    assert said == done
    assert len(done) == len(TOPICS) + 4
    assert admin.verify(first) == []
    assert admin.apply(first, said.append) == []
    assert all(row["exists"] for row in admin.describe(first))
    assert Slots.read(first) == Slots({"b": 0, "a": 1}, {"b": 0, "a": 1})


def test_more_replicas_than_brokers_are_a_wrong_configuration(first: Config) -> None:
    """The broker answered: to say that it is away would send somebody to look for it."""
    with pytest.raises(Misconfigured, match=r"Kafka refuses.*`replication:`"):
        admin.apply(first.model_copy(update={"replication": 3}), lambda _: None)


def test_new_accounts_grow_all_slot_topics_together_and_old_numbers_stay(
    first: Config, stack: Stack, prefix: str
) -> None:
    admin.apply(first, lambda _: None)
    second = config(stack, prefix, "c a")
    assert "account c: no slot" in admin.verify(second)
    admin.apply(second, lambda _: None)
    assert Slots.read(second).accounts == {"b": 0, "a": 1, "c": 2}
    widths = {row["partitions"] for row in admin.describe(second) if row["partitioned"] == "slots"}
    assert widths == {3}


def test_two_applies_at_once_never_give_a_number_twice(first: Config, stack: Stack, prefix: str) -> None:
    others = [config(stack, prefix, f"{name} a") for name in ("x", "y", "z")]
    failed: list[BaseException] = []

    def apply(one: Config) -> None:
        try:
            admin.apply(one, lambda _: None)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=apply, args=(one,)) for one in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    slots = Slots.read(first)
    for numbers in (slots.spaces, slots.accounts):
        assert sorted(numbers) == ["a", "x", "y", "z"]
        assert sorted(numbers.values()) == [0, 1, 2, 3]


def test_a_setting_that_was_changed_is_mended(first: Config, prefix: str) -> None:
    admin.apply(first, lambda _: None)
    found = wanted(first, 2)["outcomes"]
    broken = Layout(found.name, 2, 1, {"retention.ms": "1000"})
    client = AdminClient({"bootstrap.servers": first.kafka.bootstrap})
    for future in client.incremental_alter_configs([admin._resource(broken)]).values():
        future.result(10)
    told = f"{prefix}outcomes: retention.ms is 1000, not {found.settings['retention.ms']}"
    deadline = time.monotonic() + 20
    while admin.verify(first) != [told]:
        assert time.monotonic() < deadline
    assert len(admin.apply(first, lambda _: None)) == 1
    assert admin.verify(first) == []


def test_another_partition_count_stops_before_anything_is_changed(
    first: Config, stack: Stack, prefix: str
) -> None:
    admin.apply(first, lambda _: None)
    facts = read_control(first)
    with pytest.raises(Misconfigured, match="partitions: 2"):
        admin.apply(config(stack, prefix, "b a new", partitions=3), lambda _: None)
    assert read_control(first) == facts


def test_without_schemas_apply_says_what_to_run(stack: Stack, prefix: str, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="streams schemas register"):
        admin.apply(config(stack, prefix, "a"), lambda _: None)
