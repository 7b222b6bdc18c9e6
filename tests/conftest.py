"""The local stack for tests: one for the whole run, shared by all workers, gone at its end."""

import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from streams.local import stack as local
from streams.local.stack import Stack

pytest.register_assert_rewrite("tests.line", "tests.whole.running", "tests.gateway.crossings")
# Names the run's stack folder to the workers. A caller who sets it keeps that stack after the run.
_FOLDER = "STREAMS_TEST_STACK"
_made = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    if _FOLDER not in os.environ:
        config.stash[_made] = Path(tempfile.mkdtemp(prefix="streams-stack-"))
        os.environ[_FOLDER] = str(config.stash[_made])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Only the process that made the folder tidies up, and it ends after its workers."""
    made = config.stash.get(_made, None)
    if made is not None:
        local.down(made)
        shutil.rmtree(made)
        del os.environ[_FOLDER]


def say(line: str) -> None:
    print(line, file=sys.stderr)


@pytest.fixture(scope="session")
def stack() -> Stack:
    """A broker and a registry that other tests use, too: take `prefix` for every name."""
    return local.up(Path(os.environ[_FOLDER]), say=say)


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> Iterator[str]:
    """A prefix for topics, subjects and groups that is this test's alone; its topics go with it."""
    made = f"t{secrets.token_hex(4)}-"
    yield made
    if "stack" in request.fixturenames:
        delete_topics(request.getfixturevalue("stack").kafka, made)


def delete_topics(address: str, prefix: str) -> None:
    admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
    try:
        ours = [name for name in admin.list_topics(timeout=10).topics if name.startswith(prefix)]
        if ours:
            for deleted in admin.delete_topics(ours).values():
                deleted.result(timeout=10)
    except KafkaException as error:
        say(f"topics {prefix}* stay behind: {error}")
