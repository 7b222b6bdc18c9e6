"""The largest record that the line allows passes the broker, however little it can be compressed."""

import os
from pathlib import Path

import pytest

from streams.engine.layout import RECORD_BYTES
from streams.engine.transactions import Transactions
from streams.local.stack import Stack
from tests.line import Bench

pytestmark = pytest.mark.stack


def test_a_record_of_the_largest_size_is_written_and_read(stack: Stack, prefix: str, tmp_path: Path) -> None:
    bench = Bench(stack, prefix, tmp_path)
    transactions = Transactions(bench.config.kafka.client(), f"{prefix}large")
    transactions.begin()
    values = [os.urandom(RECORD_BYTES - 1000) for _ in range(3)]
    transactions.write([(f"{prefix}klaviyo.events", [(0, b"key", value) for value in values])])
    assert [message.value() for message in bench.read("klaviyo.events")] == values
