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
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from streams.local import stack as local
from streams.local.stack import Stack

pytest.register_assert_rewrite("tests.line", "tests.whole.running", "tests.gateway.crossings")
# A machine that is busy is no failure, and what one run finds all find. For other examples than these:
# ``--hypothesis-profile=default``, and ``--hypothesis-seed`` if they are to come again.
settings.register_profile(
    "same", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("same")
# Names the run's stack folder to the workers. A caller who sets it keeps that stack after the run.
_FOLDER = "STREAMS_TEST_STACK"
_made = pytest.StashKey[Path]()
_TOGETHER = {
    "tests/whole/test_broken_stack.py": "own stack",
    "tests/local/test_stack.py": "own stack",
    "tests/engine/test_stopping.py": "own stack",
    "tests/whole/": "whole",
    "tests/klaviyo/test_contract.py": "contract",
}
"""What a test's id begins with → the tests that one worker runs, one after another: the first that fits."""


class Groups(LoadScopeScheduling):
    """Groups first, the largest before the others; then each test by itself, in the order of files."""

    def _split_scope(self, nodeid: str) -> str:
        return next((group for start, group in _TOGETHER.items() if nodeid.startswith(start)), nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Groups:
    """Not ``--dist loadgroup``: under pytest 9.2 that groups nothing (pytest-xdist 1386)."""
    return Groups(config, log)


def pytest_configure(config: pytest.Config) -> None:
    if _FOLDER not in os.environ:
        config.stash[_made] = Path(tempfile.mkdtemp(prefix="streams-stack-"))
        os.environ[_FOLDER] = str(config.stash[_made])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than cores, four at most: half of the time a test waits, for a budget or a process."""
    return min(4, (os.cpu_count() or 1) + 1)


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
