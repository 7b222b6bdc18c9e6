"""The stack's promises: idempotent, only ours, and nothing forgotten over a restart."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from streams.local import compose, kafka, ports, processes
from streams.local import stack as local
from streams.local.addresses import Addresses, environment
from streams.local.fetch import PROJECT, data_folder
from streams.local.stack import Stack, StackUnavailable
from tests.line import PIPELINE, eventually

pytestmark = pytest.mark.stack

UP = """
import sys; from pathlib import Path; from streams.local import stack
print(stack.up(Path(sys.argv[1]), say=lambda line: print(line, file=sys.stderr)).pids)
"""


def silent(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A stack's folder of our own: these tests kill what the others need."""
    own = tmp_path_factory.mktemp("own")
    yield own
    local.down(own)


@pytest.fixture
def running(folder: Path) -> Stack:
    return local.up(folder, say=silent)


@pytest.fixture(scope="module")
def _java() -> None:
    if compose.engine() is None:
        pytest.skip("the stack runs under Docker here")


def test_two_ups_at_once_start_one_stack(folder: Path) -> None:
    command = [sys.executable, "-c", UP, str(folder)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]

    told = [process.communicate(timeout=120)[0] for process in both]

    found, reason = local.status(folder)
    assert found is not None, reason
    assert told == [f"{found.pids}\n"] * 2


def test_up_again_finds_what_runs(folder: Path, running: Stack) -> None:
    said: list[str] = []

    assert local.up(folder, say=said.append) == running
    assert said == []


def test_kafka_answers_with_the_id_made_for_it_on_loopback_only(running: Stack) -> None:
    assert kafka.answering_cluster(running.kafka) == running.cluster_id
    assert running.kafka.startswith("127.0.0.1:")
    assert running.registry.startswith("http://127.0.0.1:")


def test_topics_are_not_made_by_asking_for_them(running: Stack) -> None:
    admin = AdminClient({"bootstrap.servers": running.kafka})

    assert admin.list_topics("never-created", timeout=10).topics["never-created"].error is not None


def test_killed_broker_comes_back_on_its_port_with_its_records(folder: Path, running: Stack) -> None:
    create_topic(running, "kept")
    send(running, "kept", b"record")

    local.kill_broker(folder)
    assert local.status(folder)[0] is None
    assert "kafka" in local.status(folder)[1]
    again = local.start_broker(folder, say=silent)

    assert (again.kafka, again.cluster_id) == (running.kafka, running.cluster_id)
    assert again.pids["kafka"] != running.pids["kafka"]
    assert again.pids["registry"] == running.pids["registry"]
    assert end_of(again, "kept") == 1


def test_topics_and_schema_ids_outlive_down_and_up(folder: Path, running: Stack) -> None:
    create_topic(running, "stays")
    send(running, "stays", b"record")
    schemas = [{"type": "record", "name": f"R{n}", "fields": []} for n in range(3)]
    ids = [register(running, schema) for schema in schemas]

    local.down(folder)
    again = local.up(folder, say=silent)

    assert again.kafka == running.kafka
    assert end_of(again, "stays") == 1
    assert [register(again, schema) for schema in reversed(schemas)] == ids[::-1]
    assert len(set(ids)) == 3


def test_down_leaves_no_process_and_says_so_twice(folder: Path, running: Stack) -> None:
    local.down(folder)
    local.down(folder)

    assert local.status(folder)[0] is None
    assert kafka.answering_cluster(running.kafka) is None
    assert not any(Path(f"/proc/{pid}/exe").exists() for pids in running.pids.values() for pid in pids)


@pytest.mark.usefixtures("_java")
def test_a_port_taken_meanwhile_is_left_to_its_owner(folder: Path, running: Stack) -> None:
    local.down(folder)
    host, port = running.kafka.split(":")
    with socket.create_server((host, int(port))):
        moved = local.up(folder, say=silent)

        assert moved.kafka != running.kafka
        assert moved.cluster_id == running.cluster_id


@pytest.mark.usefixtures("_java")
def test_a_broker_that_cannot_start_shows_the_end_of_its_log_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka/meta.properties").write_text("version=1\nnode.id=7\ncluster.id=elsewhere\n")

    with pytest.raises(StackUnavailable, match=r"(?s)kafka ended at once.*kafka.log.*node.id"):
        local.up(tmp_path, say=silent)

    found, reason = local.status(tmp_path)
    assert (found, "kafka, registry" in reason) == (None, True)


def test_without_docker_and_java_it_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)

    with pytest.raises(StackUnavailable, match=r"start Docker, or install Java 17 or newer and Maven"):
        local.up(tmp_path / "stack", say=silent)

    assert local.status(tmp_path / "stack")[0] is None


def test_a_process_with_our_number_but_another_start_is_a_stranger(tmp_path: Path) -> None:
    child = processes.spawn(["/bin/sleep", "60"], tmp_path / "log", os.environ)
    stranger = processes.Child(child.pid, child.started - 1, child.boot)
    try:
        processes.kill([stranger])

        assert not processes.alive(stranger)
        assert processes.alive(child)
    finally:
        processes.kill([child])
    assert not processes.alive(child)


def test_what_was_inherited_is_not_handed_on(tmp_path: Path) -> None:
    """Else a lock would be held, or a reader of a pipe wait, for as long as the broker lives."""
    held = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(held, True)
    child = processes.spawn(["/bin/sleep", "60"], tmp_path / "log", os.environ)
    try:
        assert {name.name for name in Path(f"/proc/{child.pid}/fd").iterdir()} == {"0", "1", "2"}
    finally:
        processes.kill([child])
        os.close(held)


def test_a_port_is_only_its_listeners() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        assert not ports.is_free(port)
        assert processes.listens(processes.Child(os.getpid(), 0, ""), port)
        assert not processes.listens(processes.Child(os.getppid(), 0, ""), port)


def create_topic(stack: Stack, name: str) -> None:
    admin = AdminClient({"bootstrap.servers": stack.kafka})
    admin.create_topics([NewTopic(name, 1)])[name].result(10)


def send(stack: Stack, topic: str, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": stack.kafka, "acks": "all"})
    producer.produce(topic, value)
    assert producer.flush(10) == 0


def end_of(stack: Stack, topic: str) -> int:
    """The offset after the topic's last record."""
    consumer = Consumer({"bootstrap.servers": stack.kafka, "group.id": "end"})
    try:
        return int(consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)[1])
    finally:
        consumer.close()


def register(stack: Stack, schema: object) -> int:
    """The id the registry gives this schema under a subject of its own."""
    url = urlsplit(stack.registry)
    connection = http.client.HTTPConnection(url.netloc, timeout=10)
    text = json.dumps(schema)
    path = f"{url.path}/subjects/s{abs(hash(text))}-value/versions"
    connection.request(
        "POST", path, json.dumps({"schema": text}), {"Content-Type": "application/vnd.schemaregistry.v1+json"}
    )
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return int(answer["id"])


def start_dev(folder: Path, *words: str) -> "subprocess.Popen[bytes]":
    """`streams dev` with a stack of its own, its log in the folder."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("STREAMS_")}
    env["STREAMS_LOCAL"] = str(folder)
    (folder / "packages").symlink_to(data_folder() / "packages")
    file = folder / "pipeline.yaml"
    file.write_text(PIPELINE)
    with (folder / "dev.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "streams", "dev", "--config", str(file), *words], env=env, stderr=log
        )


@pytest.mark.usefixtures("_java")
def test_dev_tells_of_its_own_broker_that_died_and_starts_it_again(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    dev = start_dev(tmp_path, "--ready-file", str(ready))
    try:
        eventually(ready.exists)
        before = json.loads(ready.read_text())
        told = subprocess.run(
            ["sh", "-c", '. "$0" && env', str(tmp_path / "dev" / "env.sh")],
            capture_output=True,
            text=True,
            check=True,
        )
        assert {f"{name}={value}" for name, value in before["env"].items()} <= set(told.stdout.splitlines())
        os.kill(before["pids"]["kafka"][0], signal.SIGKILL)
        eventually(lambda: json.loads(ready.read_text())["pids"]["kafka"] != before["pids"]["kafka"])
        assert local.status(tmp_path / "stack")[0] is not None
    finally:
        dev.send_signal(signal.SIGTERM)
        assert dev.wait(20) == 0
    assert "not running: kafka" in (tmp_path / "dev.log").read_text()
    assert local.status(tmp_path / "stack")[0] is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
@pytest.mark.usefixtures("_java")
def test_dev_that_is_stopped_while_its_stack_starts_leaves_no_process(
    tmp_path: Path, number: signal.Signals
) -> None:
    dev = start_dev(tmp_path)

    def kafka_began() -> list[str]:
        state = tmp_path / "stack" / "stack.json"
        return re.findall(r'"pid": (\d+)', state.read_text()) if state.exists() else []

    (pid, *_) = eventually(kafka_began)
    dev.send_signal(number)

    assert dev.wait(10) == 0
    assert not Path(f"/proc/{pid}").exists()


def test_the_state_s_folder_is_not_where_a_stack_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """READY's environment has both, each with one meaning: `stack status` finds what `dev` started."""
    monkeypatch.setenv("STREAMS_DATA", str(tmp_path / "state"))
    assert local.default_folder().parent == PROJECT / ".data"
    monkeypatch.setenv("STREAMS_LOCAL", str(tmp_path / "here"))
    assert local.default_folder() == tmp_path / "here" / "stack"
    found = Stack("127.0.0.1:1", "http://127.0.0.1:2", "c", {}, local.default_folder())
    file = tmp_path / "pipeline.yaml"
    file.write_text(PIPELINE)
    env = environment(file, found, Addresses.choose(None), tmp_path / "state")
    assert env["STREAMS_LOCAL"] == str(tmp_path / "here")
    assert env["STREAMS_DATA"] == str(tmp_path / "state")
